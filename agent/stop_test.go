package agent

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/pkg/incident"
)

// An agent that is told to stop while an action runs lets it come to its safe end and writes the result
// down; the next one goes on from there.
func TestStopDuringAction(t *testing.T) {
	t.Parallel()
	h, gate := newGated(t)
	acting := make(chan struct{})
	var once sync.Once
	seam := points{at: func(_ int, name string) {
		if name == "after intended of again is on disk" {
			once.Do(func() { close(acting) })
		}
	}}
	a := h.start(func(o *Options) { o.memory = seam.memory })
	gate.shut(t)
	h.crash("web.service")
	<-acting
	a.cancel()
	gate.open(t)
	a.stop()
	if a.err != nil {
		t.Errorf("the agent ended with %v", a.err)
	}
	all := h.attempts()
	if len(all) != 1 || all[0].Phase != incident.Acted || all[0].Error != "" {
		for _, a := range all {
			t.Logf("%s is %s: %s", a.ID, a.Phase, a.Error)
		}
		t.Fatal("want one attempt in the journal, one that acted")
	}
	if state, _ := h.Property("web.service", "ActiveState"); state != "active" {
		t.Errorf("the unit is %s after the stop, want active", state)
	}
	b := h.start(nil)
	in := b.ended("web")
	if at := in.GetAttempts(); len(at) != 1 || at[0].GetOutcome() != "verified" {
		t.Errorf("the attempts are %v, want the one, verified", at)
	}
	if n := len(h.starts("web")); n != 2 {
		t.Errorf("the unit was started %d times, want 2", n)
	}
}

// The line to the controller stays until the last action is at its safe end: a host that is silent for ten seconds is
// lost, and an upgrade of its agent is no reason to call people.
func TestLineStaysUntilTheLastAction(t *testing.T) {
	t.Parallel()
	h, gate := newGated(t)
	node, block := newNode(t)
	h.configure(web + block)
	acting, live := make(chan struct{}), make(chan bool, 1)
	seam := points{at: func(_ int, name string) {
		switch name {
		case "after intended of again is on disk":
			close(acting)
		case "before acted of again is on disk":
			live <- node.Live(hostOf(node))
		}
	}}
	a := h.start(func(o *Options) { o.memory = seam.memory })
	a.line(t)
	gate.shut(t)
	h.crash("web.service")
	<-acting
	a.cancel()
	gate.open(t)
	a.stop()
	if a.err != nil {
		t.Errorf("the agent ended with %v", a.err)
	}
	if !<-live {
		t.Error("the agent hung up while it still acted")
	}
	agenttest.Eventually(t, func() bool { return !node.Live(hostOf(node)) }, "the agent hung up at its end")
}

// supervisor is systemd as seen by a service of Type=notify.
type supervisor struct {
	path string
	said chan string
}

func newSupervisor(h *host) *supervisor {
	s := &supervisor{path: h.file("notify.sock"), said: make(chan string, 64)}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path, Net: "unixgram"})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			s.said <- string(buf[:n])
		}
	}()
	return s
}

// hear waits for a message with that first line; the watchdog's are passed over, unless they are wanted.
func (s *supervisor) hear(t testing.TB, want string) string {
	t.Helper()
	for {
		select {
		case text := <-s.said:
			first, _, _ := strings.Cut(text, "\n")
			if first == want {
				return text
			}
			if first != "WATCHDOG=1" {
				t.Fatalf("systemd is told %q, want %q", text, want)
			}
		case <-time.After(patience):
			t.Fatalf("systemd is not told %q", want)
		}
	}
}

// The agent tells systemd when it can be asked, that it lives, when it reads its configuration again, and
// when it stops.
func TestTellsSystemd(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	s := newSupervisor(h)
	p := h.fork("NOTIFY_SOCKET="+s.path, "WATCHDOG_USEC=300000")
	s.hear(t, "READY=1")
	if c, err := net.Dial("unix", h.file("agent.sock")); err != nil {
		t.Errorf("it called itself ready, and its socket does not answer: %v", err)
	} else {
		_ = c.Close()
	}
	s.hear(t, "WATCHDOG=1")
	p.signal(syscall.SIGHUP)
	if text := s.hear(t, "RELOADING=1"); !strings.Contains(text, "\nMONOTONIC_USEC=") {
		t.Errorf("systemd cannot tell this reload from another: %q", text)
	}
	s.hear(t, "READY=1")

	h.write("agent.hcl", "nonsense", 0o600)
	p.signal(syscall.SIGHUP)
	s.hear(t, "RELOADING=1")
	s.hear(t, "READY=1") // with the old configuration
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.hear(t, "STOPPING=1")
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestRestartsLeakNothing is not parallel, so that what it counts is its own.
func TestRestartsLeakNothing(t *testing.T) {
	h := newWeb(t)
	once := func() {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- Run(ctx, Options{ConfigFile: h.file("agent.hcl"), Systemd: h.bus, Log: hclog.NewNullLogger()})
		}()
		h.awaitSocket(nil, nil)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	once() // what is opened once for the whole process
	before, here := openFiles(t), goleak.IgnoreCurrent()
	for range 30 {
		once()
	}
	if err := goleak.Find(here); err != nil {
		t.Errorf("goroutines are left: %v", err)
	}
	agenttest.Eventually(t, func() bool { return openFiles(t) <= before }, "no more open files than before")
}

func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
