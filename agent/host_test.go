package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
)

// patience is how long a test waits for what must come. It is long because the machine may be busy, and
// costs nothing when all is well.
const patience = time.Minute

// host is a machine for one test: a user manager of its own, a folder, and what agent.hcl says.
type host struct {
	*agenttest.Systemd
	t        testing.TB
	dir      string
	bus      string // address under which the agent finds systemd
	metrics  string // address of /metrics and /healthz; "" is off
	autonomy string
	text     string // the rest of agent.hcl
}

// newHost starts a manager. A short folder below /tmp: a socket's path has at most 108 bytes.
func newHost(t testing.TB) *host {
	t.Helper()
	m := agenttest.Manager(t)
	dir, err := os.MkdirTemp("/tmp", "salve-agent-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return &host{Systemd: m, t: t, dir: dir, bus: m.Address, autonomy: "full"}
}

func (h *host) file(name string) string { return filepath.Join(h.dir, name) }

// write makes a file in the host's folder and returns its path.
func (h *host) write(name, text string, mode fs.FileMode) string {
	h.t.Helper()
	if err := os.WriteFile(h.file(name), []byte(text), mode); err != nil {
		h.t.Fatal(err)
	}
	return h.file(name)
}

// configure writes agent.hcl: what every test needs, and text.
func (h *host) configure(text string) {
	h.t.Helper()
	h.text = text
	h.write("agent.hcl", fmt.Sprintf(`
host     = "test"
autonomy = %q
per_hour = 100
data     = %q
socket   = %q
metrics  = %q
`, h.autonomy, h.file("state"), h.file("agent.sock"), h.metrics)+text, 0o600)
}

// install writes a unit and starts it.
func (h *host) install(name, text string) {
	h.t.Helper()
	if err := h.WriteUnit(name, text); err != nil {
		h.t.Fatal(err)
	}
	h.ctl("start", name)
}

// ctl is systemctl as a person types it.
func (h *host) ctl(args ...string) string {
	h.t.Helper()
	out, err := h.Systemctl(args...)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// counted is a unit that writes down each of its starts before it is up. more are further lines of [Service].
func (h *host) counted(name string, more ...string) string {
	return fmt.Sprintf(`[Unit]
StartLimitIntervalSec=0
[Service]
ExecStartPre=/bin/sh -c 'echo $$INVOCATION_ID >> %s'
ExecStart=/bin/sleep 1000
%s
`, h.file(name+".starts"), strings.Join(more, "\n"))
}

// starts are the invocation IDs of a counted unit.
func (h *host) starts(name string) []string {
	text, err := os.ReadFile(h.file(name + ".starts"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.t.Fatal(err)
	}
	return strings.Fields(string(text))
}

// crash kills the unit's main process, as a fault would.
func (h *host) crash(name string) {
	h.t.Helper()
	h.ctl("kill", "--signal=KILL", "--kill-whom=main", name)
}

// attempts is what the journal has; no agent may run.
func (h *host) attempts() []*incident.Attempt {
	h.t.Helper()
	c, err := clock.System()
	if err != nil {
		h.t.Fatal(err)
	}
	j, _, err := journal.Open(h.file("state"), journal.Options{Clock: c})
	if err != nil {
		h.t.Fatal(err)
	}
	defer j.Close()
	all, err := j.AttemptsWithin(time.Hour)
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// running is an agent in this process.
type running struct {
	*phone
	cancel context.CancelFunc
	done   chan struct{}
	err    error // how Run ended; after done
}

// start runs an agent until the test ends, and returns when its socket answers. change, if not nil, may
// change the options.
func (h *host) start(change func(*Options)) *running {
	h.t.Helper()
	r := h.launch(change)
	h.awaitSocket(r.done, func() string { return fmt.Sprint(r.err) })
	r.phone = h.call()
	return r
}

// logTo makes an agent log there.
func logTo(log *logText) func(*Options) {
	return func(o *Options) { o.Log = hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Debug}) }
}

// launch runs an agent and does not wait for anything.
func (h *host) launch(change func(*Options)) *running {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, done: make(chan struct{})}
	o := Options{ConfigFile: h.file("agent.hcl"), Systemd: h.bus}
	logTo(newLog(h.t))(&o)
	if change != nil {
		change(&o)
	}
	go func() {
		defer close(r.done)
		r.err = Run(ctx, o)
	}()
	h.t.Cleanup(r.stop)
	return r
}

// stop ends the agent as SIGTERM does, and waits. It may be called twice.
func (r *running) stop() {
	r.cancel()
	<-r.done
}

// awaitSocket returns when an agent answers; ended is closed when there is none any more.
func (h *host) awaitSocket(ended <-chan struct{}, why func() string) {
	h.t.Helper()
	agenttest.Eventually(h.t, func() bool {
		select {
		case <-ended:
			h.t.Fatalf("the agent ended at once: %s", why())
		default:
		}
		c, err := net.Dial("unix", h.file("agent.sock"))
		if err != nil {
			return false
		}
		return c.Close() == nil
	}, "the agent's socket answers")
}
