package log

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/agenttest/journaltest"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
)

// childVariable makes the test program a service that writes each line of its input to this socket of a journald.
const childVariable = "SALVE_LOG_TEST_SOCKET"

func TestMain(m *testing.M) {
	if socket := os.Getenv(childVariable); socket != "" {
		if err := service(socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func service(socket string) error {
	conn, err := net.Dial("unixgram", socket)
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if _, err := fmt.Fprintf(conn, "MESSAGE=%s\n", lines.Text()); err != nil {
			return err
		}
	}
	return nil
}

// startService starts the service in control groups of that unit, wherever journald may look for them.
func startService(t *testing.T, socket, unit string) io.Writer {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+socket)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var made []string
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("service: %v", err)
		}
		for _, dir := range made {
			_ = os.Remove(dir)
			_ = os.Remove(filepath.Dir(dir))
		}
	})
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			continue
		}
		dir := filepath.Join(root, fmt.Sprintf("salvetest%d.slice", os.Getpid()), unit)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		made = append(made, dir)
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return in
}

// TestRealJournald: each line that a service writes to a real journald is counted once, while it writes, puts its
// files aside, and the agent restarts.
func TestRealJournald(t *testing.T) {
	d := journaltest.Journald(t)
	system, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	web, db := startService(t, d.Socket, "web.service"), startService(t, d.Socket, "db.service")
	start := func() *Watcher {
		w := New(Options{Options: source.Options{Clock: system, Log: hclog.NewNullLogger(), Book: source.NewBook()},
			Folders: []string{d.Folder}})
		w.reader.time = func() time.Duration { return 0 } // however slow this machine is, no line is left out
		w.SetTargets([]Target{errorsOf("web.service")})
		t.Cleanup(w.journal.close)
		return w
	}
	w := start()
	look := func() map[string]float64 {
		m := map[string]float64{}
		b := w.tick(system.Now().Boot)
		defer b.Release()
		for _, s := range b.Samples {
			if !s.Known {
				t.Fatalf("%s is unknown: %+v", s.Handle.Key, w.Stats())
			}
			m[s.Handle.Key.String()] = s.Value
		}
		return m
	}
	look()
	written := 0
	for round := range 4 {
		for i := range 200 {
			written++
			fmt.Fprintf(web, "error %d\nfine\n", written)
			fmt.Fprintf(db, "error of another service\n")
			if i == 100 && round > 0 {
				d.Rotate(t)
			}
		}
		if !agenttest.Poll(10*time.Second, func() bool { return look()[count] >= float64(written) }) {
			t.Fatalf("round %d: %v of %d lines", round, look()[count], written)
		}
		if got := look()[count]; got != float64(written) {
			t.Fatalf("round %d: %v lines, but %d were written", round, got, written)
		}
	}
	if n := len(w.journal.open); n > 2 {
		t.Errorf("%d files are open", n)
	}
	last := w.Matches("web.service")
	if n := len(last); n != mostKept || last[n-1].Text != fmt.Sprintf("error %d", written) {
		t.Errorf("matches %+v", last)
	}
	if age := system.Now().Boot - last[0].At; age < 0 || age > time.Minute {
		t.Errorf("the last match is %s old", age)
	}

	before := look()[rate]
	w = start()
	if got := look(); got[count] != 0 || before < 1 || got[rate] > before || got[rate] < before/2 {
		t.Errorf("after a restart: %v, before it the rate was %v", got, before)
	}
}
