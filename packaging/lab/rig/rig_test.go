package rig

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/proto/adminpb"
)

func TestLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("a\nb\nc\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{1: "c", 2: "b\nc", 3: "a\nb\nc", 9: "a\nb\nc"} {
		if got := LastLines(path, n); got != want {
			t.Errorf("last %d lines are %q, want %q", n, got, want)
		}
	}
	if got := LastLines(path+"-missing", 3); got != "" {
		t.Errorf("a missing file has lines: %q", got)
	}
}

func TestUnitFile(t *testing.T) {
	u := Unit{
		Description: "One",
		Exec:        []string{"/bin/echo", `a "b" \ $x 100%`},
		Restart:     "on-failure",
		RestartSec:  "0",
		Lines:       []string{"Type=notify"},
	}
	want := `[Unit]
Description=One
StartLimitIntervalSec=0

[Service]
ExecStart="/bin/echo" "a \"b\" \\ $$x 100%%"
Restart=on-failure
RestartSec=0
Type=notify
`
	if diff := cmp.Diff(want, u.String()); diff != "" {
		t.Errorf("unit file (-want +got):\n%s", diff)
	}
}

func TestOwnUsage(t *testing.T) {
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute) // others may have the processor for most of it
	for time.Now().Before(deadline) {       // burn until the kernel has counted it
		after, err := CPU(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if after >= before+3*clockTick {
			break
		}
	}
	if after, _ := CPU(os.Getpid()); after < before+3*clockTick {
		t.Errorf("a busy minute counts as %v", after-before)
	}
	m, err := MemoryOf(os.Getpid())
	if err != nil || m.RSS < 1<<20 || m.PSS <= 0 || m.PSS > m.RSS {
		t.Errorf("own memory is %+v, %v", m, err)
	}
	if _, err := CPU(-1); err == nil {
		t.Error("a process that cannot be has CPU time")
	}
	if _, err := MemoryOf(-1); err == nil {
		t.Error("a process that cannot be has memory")
	}
}

func TestFreePorts(t *testing.T) {
	ports, err := FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	more, err := FreePorts(3) // while nobody listens on the first
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, addr := range append(ports, more...) {
		l, err := net.Listen("tcp", addr)
		if err != nil || seen[addr] {
			t.Errorf("%s is not free, or twice: %v", addr, err)
			continue
		}
		seen[addr] = true
		defer l.Close()
	}
	again, err := FreePorts(1)
	if err != nil || seen[again[0]] {
		t.Errorf("%v is taken, %v", again, err)
	}
	if _, err := FreePorts(100000); err == nil {
		t.Error("more ports than there are")
	}
}

// patientServer answers as the lab service does, in the name of the process that pid tells.
func patientServer(t *testing.T, pid func() (int, int)) *Patient {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, status := pid()
		w.Header().Set(pidHeader, strconv.Itoa(id))
		w.WriteHeader(status)
		_, _ = w.Write([]byte(r.Method + " " + r.URL.String()))
	}))
	t.Cleanup(srv.Close)
	return NewPatient("p", strings.TrimPrefix(srv.URL, "http://"))
}

func TestAwaitNewWantsTwoHundredOfAnother(t *testing.T) {
	asked := 0
	answers := [][2]int{{7, 200}, {8, 500}, {7, 200}, {8, 200}}
	p := patientServer(t, func() (int, int) {
		a := answers[min(asked, len(answers)-1)]
		asked++
		return a[0], a[1]
	})
	a, err := p.AwaitNew(t.Context(), 7)
	if err != nil || a.PID != 8 || a.Status != 200 || asked != 4 {
		t.Errorf("got %+v after %d questions, %v", a, asked, err)
	}
}

func TestAwaitGivesUp(t *testing.T) {
	p := patientServer(t, func() (int, int) { return 7, 500 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.AwaitAny(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want a deadline", err)
	}
}

func TestPatientRefuses(t *testing.T) {
	p := patientServer(t, func() (int, int) { return 0, 200 })
	if _, err := p.Get(t.Context(), "/healthz"); err == nil {
		t.Error("an answer without a process was taken")
	}
	p = patientServer(t, func() (int, int) { return 7, 400 })
	if err := p.Fault(t.Context(), "nothing"); err == nil || !strings.Contains(err.Error(), "POST /fault/nothing") {
		t.Errorf("a refused fault gives %v", err)
	}
}

func TestProgram(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := StartProgram([]string{"/bin/sh", "-c", "echo up; exec sleep 1000"}, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	p.Stop()
	p.Stop()
	if err := syscall.Kill(p.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("after its stop it is there: %v", err)
	}
	if _, err := StartProgram([]string{"/nowhere"}, nil, log); err == nil {
		t.Error("a program that is not there was started")
	}
}

func TestStartAgentTellsWhyNot(t *testing.T) {
	dir := t.TempDir()
	_, err := StartAgent(t.Context(), AgentOptions{
		Binary: "/bin/false", Socket: filepath.Join(dir, "agent.sock"), Log: filepath.Join(dir, "log"),
	})
	if err == nil || !strings.Contains(err.Error(), "ended at once") {
		t.Errorf("error is %v", err)
	}
}

// A process takes what crashes and stalls do to it, and starts again with the same name.
func TestProcess(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p := NewProcess([]string{"/bin/sh", "-c", "echo up; exec sleep 1000"}, log)
	if err := p.Kill(); !errors.Is(err, errNotRunning) || p.PID() != 0 {
		t.Errorf("killed before its start: %v, process %d", err, p.PID())
	}
	for range 2 {
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		pid := p.PID()
		if err := p.Start(); err == nil {
			t.Error("it was started twice")
		}
		for _, f := range []func() error{p.Freeze, p.Thaw, p.Freeze, p.Kill} {
			if err := f(); err != nil {
				t.Error(err)
			}
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) || p.PID() != 0 || p.Fault() != nil {
			t.Errorf("after the kill: %v, process %d, %v", err, p.PID(), p.Fault())
		}
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	p.Stop()
	if p.PID() != 0 {
		t.Error("a frozen process was not stopped")
	}
}

func TestProcessTellsThatItEnded(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p := NewProcess([]string{"/bin/sh", "-c", "echo out of luck; exit 3"}, log)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	<-p.prog.Done()
	if err := p.Fault(); err == nil || !strings.Contains(err.Error(), "exit status 3\nout of luck") {
		t.Errorf("fault is %v", err)
	}
}

func TestControllerIsAwaited(t *testing.T) {
	asked := 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == -990 {
			cancel() // whoever asks has heard why not by now
		}
		if asked < 3 || r.URL.Path != "/readyz" {
			http.Error(w, "no leader", http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	dir := t.TempDir()
	c := NewController(ControllerOptions{Binary: "/bin/false", HTTP: strings.TrimPrefix(srv.URL, "http://"),
		Log: filepath.Join(dir, "log")})
	c.argv = []string{"/bin/sleep", "1000"}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	if err := c.AwaitReady(t.Context()); err != nil || asked != 3 {
		t.Errorf("after %d questions: %v", asked, err)
	}
	asked = -1000
	if err := c.AwaitReady(ctx); err == nil || !strings.Contains(err.Error(), "no leader") {
		t.Errorf("error is %v", err)
	}
	c.Stop()
	if err := c.AwaitReady(t.Context()); !errors.Is(err, errNotRunning) {
		t.Errorf("one that does not run is waited for: %v", err)
	}
}

func TestSalveSaysWhyNot(t *testing.T) {
	s := Salve{Binary: "/bin/sh", Where: []string{"--address", "x"}}
	out, err := s.Run(t.Context(), "-c", `echo "$0 $1"; echo sorry >&2; exit 5`)
	if err == nil || !strings.Contains(err.Error(), "exit status 5: sorry") || out != "--address x\n" {
		t.Errorf("said %q, %v", out, err)
	}
	var r adminpb.ListAuditResponse
	ok := Salve{Binary: "/bin/echo", Where: []string{`{"records": [{"n": "7"}]}`}}
	if err := ok.Ask(t.Context(), &r); err == nil || !strings.Contains(err.Error(), "read what salve") {
		t.Errorf("error is %v", err)
	}
	ok = Salve{Binary: "/bin/sh", Where: []string{}}
	if err := ok.Ask(t.Context(), &r, "-c", `echo '{"records": [{"n": "7"}]}'`); err != nil || r.GetRecords()[0].GetN() != 7 {
		t.Errorf("read %v, %v", &r, err)
	}
}
