package helper

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/order"
)

// rig is a helper of a private systemd. It runs as the same user as that systemd, as the real one does.
type rig struct {
	*agenttest.Systemd
	Client
	t    *testing.T
	list string
	log  *lockedBuffer
	stop func()        // ends the helper
	done chan struct{} // closed when it has ended
}

// everyVerb allows everything on these units.
func everyVerb(units ...string) List {
	l := List{Never: []string{"never.service"}}
	for _, u := range units {
		l.May = append(l.May, Entry{u, []string{order.Start, order.Stop, order.Restart, order.Reload, order.Kill,
			order.ResetFailed, order.SetProperty}})
	}
	return l
}

// newRig has these units (name, text, …) and a list that allows everything on a.service and never.service.
func newRig(t *testing.T, units ...string) *rig {
	t.Helper()
	m := agenttest.Manager(t)
	for i := 0; i < len(units); i += 2 {
		if err := m.WriteUnit(units[i], units[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	g := serve(t, m.Address, Options{})
	g.Systemd = m
	return g
}

// serve runs a helper of that systemd until the test's end.
func serve(t *testing.T, bus string, o Options) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "salve-helper-") // t.TempDir() may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	g := &rig{t: t, list: filepath.Join(dir, "allow"), log: &lockedBuffer{}, Client: Client{filepath.Join(dir, "socket")}}
	g.write(everyVerb("a.service", "never.service").Text())
	o.Listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: g.Socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if o.Users == nil {
		o.Users = []uint32{uint32(os.Geteuid())}
	}
	o.List, o.Bus, o.Log = g.list, bus, hclog.New(&hclog.LoggerOptions{Output: g.log})
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	g.done = make(chan struct{})
	go func() {
		defer close(g.done)
		if err := s.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	g.stop = func() { cancel(); <-g.done }
	t.Cleanup(g.stop)
	return g
}

func (g *rig) write(list string) {
	g.t.Helper()
	if err := g.put(list); err != nil {
		g.t.Fatal(err)
	}
}

// must has an order carried out that has to work.
func (g *rig) must(o order.Order) {
	g.t.Helper()
	if _, err := g.Ask(g.t.Context(), o); err != nil {
		g.t.Fatalf("%s %s: %v", o.Verb, o.Unit, err)
	}
}

// refused expects a refusal that says why.
func (g *rig) refused(o order.Order, why string) {
	g.t.Helper()
	_, err := g.Ask(g.t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "the helper refused: ") || !strings.Contains(err.Error(), why) {
		g.t.Errorf("%s %s: %v, want a refusal because %q", o.Verb, o.Unit, err, why)
	}
}

func (g *rig) becomes(unit, property, want string) {
	g.t.Helper()
	var got string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if got, _ = g.Property(unit, property); got == want {
			return
		}
	}
	g.t.Fatalf("%s of %s is %q, want %q", property, unit, got, want)
}

func (g *rig) do(args ...string) {
	g.t.Helper()
	if _, err := g.Systemctl(args...); err != nil {
		g.t.Fatal(err)
	}
}

// say sends bytes as they are and returns the answer's line, "" when none came.
func (g *rig) say(text string) string {
	g.t.Helper()
	c, err := net.Dial("unix", g.Socket)
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte(text))
	_ = c.(*net.UnixConn).CloseWrite()
	a, err := readAnswer(c)
	if err != nil {
		return ""
	}
	return a.Error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const sleeper = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep 1000\nExecReload=/bin/true\n"
