package controller

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/salveops/salve/pkg/require"
	"github.com/salveops/salve/proto/adminpb"
)

const patience = time.Minute

// site is the folder and the ports of one node.
type site struct {
	t                *testing.T
	file             string
	grpc, raft, http string
	log              *testLog
}

func newSite(t *testing.T) *site {
	s := &site{t: t, file: filepath.Join(t.TempDir(), "controller.hcl"), grpc: require.Port(t), raft: require.Port(t),
		http: require.Port(t),
		log:  &testLog{t: t}}
	s.configure(`service "web" { max_unavailable = 1 }`)
	return s
}

func (s *site) configure(rest string) {
	text := fmt.Sprintf("node = \"ctl-1\"\ndata = %q\nlisten {\n  grpc = %q\n  raft = %q\n  http = %q\n}\n"+
		"notifier \"journald\" \"log\" {}\nescalation \"default\" {\n  step {\n    notify = [\"journald.log\"]\n  }\n}\n%s\n",
		filepath.Join(filepath.Dir(s.file), "data"), s.grpc, s.raft, s.http, rest)
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// run starts the node; stop ends it and gives its error.
func (s *site) run() (admin adminpb.AdminClient, stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{ConfigFile: s.file, Log: hclog.New(&hclog.LoggerOptions{Output: s.log, Level: hclog.Warn})})
	}()
	stop = func() error {
		cancel()
		return <-done
	}
	conn, err := grpc.NewClient(s.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return adminpb.NewAdminClient(conn), stop
}

// testLog keeps what a node logs, and shows it if the test fails.
type testLog struct {
	t    *testing.T
	mu   sync.Mutex
	text strings.Builder
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Log(strings.TrimSpace(string(b)))
	return l.text.Write(b)
}

func (l *testLog) has(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), part)
}

// eventually asks until it is so.
func (s *site) eventually(what string, so func() bool) {
	s.t.Helper()
	deadline := time.After(patience)
	for !so() {
		select {
		case <-deadline:
			s.t.Fatalf("never: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// One node is a cluster; what was committed is there after a restart, a reload is replicated, and a mistake in
// the file leaves the old one in force.
func TestOneNode(t *testing.T) {
	s := newSite(t)
	systemd := listenAsSystemd(t)
	admin, stop := s.run()
	status := func() *adminpb.StatusResponse {
		r, _ := admin.Status(t.Context(), &adminpb.StatusRequest{})
		return r
	}
	s.eventually("it leads", func() bool { return status().GetConfigDigest() != "" })
	first := status()
	if first.GetRole() != "leader" || first.GetAt().GetGeneration() == "" {
		t.Errorf("status: %v", first)
	}
	p, err := admin.Pause(t.Context(), &adminpb.PauseRequest{Scope: "service:web", By: "ann", Reason: "test", UntilResumed: true})
	if err != nil {
		t.Fatal(err)
	}
	if body := s.get("/readyz"); !strings.HasPrefix(body, "ok") {
		t.Errorf("/readyz says %q", body)
	}
	if body := s.get("/metrics"); !strings.Contains(body, "salve_") {
		t.Error("/metrics has nothing of Salve")
	}

	s.configure(`service "web" { max_unavailable = 2 }`)
	hangup(t)
	s.eventually("the new file is in the log", func() bool { return status().GetConfigDigest() != first.GetConfigDigest() })
	second := status()
	s.configure(`service "web" { max_unavailabel = 3 }`)
	hangup(t)
	s.eventually("the mistake is told with its place", func() bool { return s.log.has(s.file + ":14:17") })
	systemd.hears("STATUS=configuration refused, the old one holds: ")
	refused := status()
	if refused.GetConfigDigest() != second.GetConfigDigest() {
		t.Error("a file with a mistake was taken")
	}
	if !strings.Contains(refused.GetConfigRefused(), s.file+":14:17") || len(refused.GetWarnings()) != 1 {
		t.Errorf("refused %q, warnings %q", refused.GetConfigRefused(), refused.GetWarnings())
	}
	s.configure(`service "web" { max_unavailable = 3 }`)
	hangup(t)
	s.eventually("a good file after a bad one is taken", func() bool { return status().GetConfigDigest() != second.GetConfigDigest() })
	systemd.hears("READY=1\nSTATUS=\n")
	if why := status().GetConfigRefused(); why != "" {
		t.Errorf("after a good file: refused %q", why)
	}
	if err := stop(); err != nil {
		t.Errorf("it ended with %v", err)
	}

	admin, stop = s.run()
	s.eventually("it leads again", func() bool { return status().GetRole() == "leader" })
	again := status()
	if again.GetAt().GetGeneration() != first.GetAt().GetGeneration() {
		t.Errorf("generation %s after a restart, %s before", again.GetAt().GetGeneration(), first.GetAt().GetGeneration())
	}
	if len(again.GetPauses()) != 1 || again.GetPauses()[0].GetId() != p.GetPause().GetId() {
		t.Errorf("pauses after a restart: %v", again.GetPauses())
	}
	if err := stop(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// A data folder belongs to one process.
func TestSecondProcessIsRefused(t *testing.T) {
	s := newSite(t)
	admin, stop := s.run()
	s.eventually("it answers", func() bool {
		_, err := admin.Status(t.Context(), &adminpb.StatusRequest{Stale: true})
		return err == nil
	})
	s.grpc, s.raft, s.http = require.Port(t), require.Port(t), require.Port(t)
	s.configure("")
	err := Run(t.Context(), Options{ConfigFile: s.file, Log: hclog.NewNullLogger()})
	if err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("the second one ended with %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Log: hclog.NewNullLogger()},
		{ConfigFile: "x", Dev: true, Log: hclog.NewNullLogger()},
		{ConfigFile: "x"},
		{ConfigFile: "/does/not/exist.hcl", Log: hclog.NewNullLogger()},
	} {
		if err := Run(t.Context(), o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

func (s *site) get(path string) string {
	r, err := http.Get("http://" + s.http + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// manager hears what a service tells systemd.
type manager struct {
	t *testing.T
	*net.UnixConn
}

func listenAsSystemd(t *testing.T) manager {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return manager{t, l}
}

// hears waits for a message with that part.
func (m manager) hears(part string) {
	m.t.Helper()
	if err := m.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	for b := make([]byte, 64<<10); ; {
		n, err := m.Read(b)
		if err != nil {
			m.t.Fatalf("systemd never heard %q: %v", part, err)
		}
		if strings.Contains(string(b[:n])+"\n", part) {
			return
		}
	}
}

// hangup asks this process, in which the node runs, to reload.
func hangup(t *testing.T) {
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}
