package pool_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/pool"
	"github.com/salveops/salve/agent/internal/haproxy"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// balance is a runner with a real HAProxy: its server a is stuck, b takes over from it, c is not there.
type balance struct {
	*agenttest.Balancer
	runner  *act.Runner
	journal *acttest.Journal
	t       *testing.T
	pool    *config.Pool
	weak    string // another socket, with less rights
	client  http.Client
	stuck   chan struct{} // a request has reached a
}

func newBalance(t *testing.T) *balance {
	t.Helper()
	g := &balance{t: t, journal: acttest.OpenJournal(t, t.TempDir()), weak: filepath.Join(t.TempDir(), "weak"), stuck: make(chan struct{}, 8)}
	release := make(chan struct{})
	a := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { g.stuck <- struct{}{}; <-release }))
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "b") }))
	t.Cleanup(func() { close(release); a.Close(); b.Close() })
	g.Balancer = agenttest.HAProxy(t, " server a "+a.Listener.Addr().String()+"\n server b "+b.Listener.Addr().String()+
		" backup\n server c 127.0.0.1:1 check inter 50ms fall 1\nglobal\n stats socket "+g.weak+" mode 600 level operator")
	g.client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", g.Front)
	}}
	g.runner = newRunner(t, g.journal)
	g.pool = &config.Pool{Name: "db", HAProxy: g.Stats, Backend: "web"}
	agenttest.Eventually(t, func() bool { return g.state("c") == "0 0" }, "c is down")
	return g
}

func (g *balance) drain(server string, wait time.Duration) kind.Request {
	q := acttest.Ask(remedy.ResetPool, "", &remedy.PoolArgs{Pool: "db", Mode: "drain", Server: server, Wait: wait})
	q.Remedy.Service = &config.Service{Pools: []*config.Pool{g.pool}}
	return q
}

func (g *balance) do(q kind.Request) (incident.Attempt, error) {
	p, err := g.runner.Prepare(g.t.Context(), q)
	if err != nil {
		return incident.Attempt{}, err
	}
	return g.runner.Run(g.t.Context(), p)
}

func (g *balance) set(server, state string) {
	g.t.Helper()
	if err := g.Command(g.t.Context(), "set server web/"+server+" state "+state, "\n"); err != nil {
		g.t.Fatal(err)
	}
}

// servers are the rows of the backend's servers by name, without what changes by itself.
func (g *balance) servers() map[string][]string {
	g.t.Helper()
	raw, err := haproxy.Ask(g.t.Context(), g.Stats, "show servers state web")
	if err != nil {
		g.t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(raw)) {
		if cells := strings.Fields(line); len(cells) > 10 && cells[0] != "#" {
			all[cells[3]] = append(cells[:9:9], cells[15:]...)
		}
	}
	return all
}

// state is whether the server runs (2), and what was done to it by hand: "2 8" is drained.
func (g *balance) state(server string) string {
	g.t.Helper()
	row := g.servers()[server]
	if len(row) < 7 {
		return ""
	}
	return row[5] + " " + row[6]
}

// get starts a request; what it gets, or "" if it is cut off, comes over the channel.
func (g *balance) get() <-chan string {
	got := make(chan string, 1)
	go func() {
		res, err := g.client.Get("http://web.test/")
		if err != nil {
			got <- ""
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		got <- string(text)
	}()
	return got
}

// drained begins to drain a, for so long. It returns when that has begun; what becomes of it comes over the channel.
func (g *balance) drained(wait time.Duration) <-chan incident.Attempt {
	g.t.Helper()
	done := make(chan incident.Attempt, 1)
	go func() {
		a, err := g.do(g.drain("a", wait))
		if err != nil {
			g.t.Error(err)
		}
		done <- a
	}()
	agenttest.Eventually(g.t, func() bool { return g.state("a") == "2 8" }, "a is drained")
	return done
}

func TestDrain(t *testing.T) {
	t.Parallel()
	g := newBalance(t)
	before, hangs := g.servers(), g.get()
	<-g.stuck
	done := g.drained(5 * time.Second) // enough for a request meanwhile
	if got := <-g.get(); got != "b" {
		t.Errorf("while a is drained, a request gets %q", got)
	}
	a := <-done
	if a.Error != "" || a.Phase != incident.Acted || len(a.Undo) > 0 || a.For != 0 {
		t.Errorf("%+v", a)
	}
	if !strings.Contains(string(a.Before), `"sessions":1`) || !strings.Contains(string(a.After), `"sessions":0`) {
		t.Errorf("before %s, after %s", a.Before, a.After)
	}
	<-hangs // it was cut off, or else it would wait for the end of the test
	if diff := cmp.Diff(before, g.servers()); diff != "" {
		t.Errorf("HAProxy is not as before: %s", diff)
	}
}

func TestServerThatMustNotBeDrained(t *testing.T) {
	t.Parallel()
	g := newBalance(t)
	refused := func(server, want string) {
		t.Helper()
		before := g.servers()
		if _, err := g.do(g.drain(server, time.Second)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("drain %q: %v, want %q", server, err, want)
		}
		if diff := cmp.Diff(before, g.servers()); diff != "" {
			t.Errorf("drain %q: %s", server, diff)
		}
	}
	refused("", "names no server") // empty-means-all
	refused("d", `has no server "d"`)
	refused("c", "is down")
	g.set("b", "maint")
	refused("a", "is the last one")
	refused("b", "in maintenance or drained already")
	g.set("b", "drain")
	refused("a", "is the last one")
	g.set("b", "ready")
	g.set("a", "drain")
	refused("a", "in maintenance or drained already")
	g.set("a", "ready")

	g.pool.HAProxy = g.weak
	if a, err := g.do(g.drain("a", time.Second)); err != nil || !strings.Contains(a.Error, "nothing was done: HAProxy says") || len(a.Undo) > 0 {
		t.Errorf("without the right: %+v, %v", a, err)
	}
	g.pool.HAProxy, g.pool.Backend = g.Stats, "none"
	refused("a", "Can't find backend")
	g.pool.Backend = "web"
	g.Stop()
	if _, err := g.do(g.drain("a", time.Second)); err == nil || !strings.Contains(err.Error(), "cannot be known now") {
		t.Errorf("without HAProxy: %v", err)
	}
}

// Whatever happens while a server is drained, it ends as it was, and its sessions are cut off only where others take over.
func TestChangesWhileDrained(t *testing.T) {
	t.Parallel()
	g := newBalance(t)
	hangs := g.get()
	<-g.stuck
	for _, c := range []struct{ server, state, says, ends string }{
		{"b", "maint", "no other server", "2 0"},  // the last one is wanted again
		{"a", "maint", "somebody changed", "0 1"}, // a person's word stands
	} {
		done := g.drained(time.Minute)
		g.set(c.server, c.state)
		if a := <-done; !strings.Contains(a.Error, c.says) || len(a.Undo) > 0 {
			t.Errorf("%s in %s: %s, undo %s", c.server, c.state, a.Error, a.Undo)
		}
		if got := g.state("a"); got != c.ends {
			t.Errorf("%s in %s: a is %s, want %s", c.server, c.state, got, c.ends)
		}
		g.set(c.server, "ready")
	}
	select {
	case <-hangs:
		t.Error("the request that hung was cut off")
	default:
	}
}

// What a person does between the check and the action stands.
func TestChangesBeforeTheDrain(t *testing.T) {
	t.Parallel()
	g := newBalance(t)
	for _, c := range []struct{ server, says, ends string }{
		{"a", "in maintenance", "0 1"},
		{"b", "is the last one", "2 0"},
	} {
		s, _ := acttest.Stage(t, pool.New(nil), g.drain("a", time.Second))
		g.set(c.server, "maint")
		err := pool.New(nil).Act(t.Context(), s)
		if err == nil || !strings.Contains(err.Error(), "nothing was done") || !strings.Contains(err.Error(), c.says) || s.Undo != nil {
			t.Errorf("%s in maintenance: %v, %+v", c.server, err, s)
		}
		if got := g.state("a"); got != c.ends {
			t.Errorf("%s in maintenance: a is %s, want %s", c.server, got, c.ends)
		}
		g.set(c.server, "ready")
	}
}

// Who is told to stop, or has no time left, makes the server ready at once, and cuts nobody off.
func TestStopWithinADrain(t *testing.T) {
	t.Parallel()
	g := newBalance(t)
	hangs := g.get()
	<-g.stuck
	for _, want := range []error{kind.ErrHalt, context.Canceled} {
		s, _ := acttest.Stage(t, pool.New(nil), g.drain("a", time.Minute))
		ctx, stop := context.WithCancel(t.Context())
		action := ctx
		if want == kind.ErrHalt {
			s.Halt, action = ctx.Done(), t.Context()
		}
		done := make(chan error, 1)
		go func() { done <- pool.New(nil).Act(action, s) }()
		agenttest.Eventually(t, func() bool { return g.state("a") == "2 8" }, "a is drained")
		stop()
		if err := <-done; !errors.Is(err, want) || s.Undo != nil || s.For != 0 {
			t.Errorf("%v, want %v: %+v", err, want, s)
		}
		if got := g.state("a"); got != "2 0" {
			t.Errorf("a is left as %s", got)
		}
	}
	select {
	case <-hangs:
		t.Error("the request that hung was cut off")
	default:
	}
}

// dies-in-the-middle: what is found drained is made ready at once.
func TestAgentDiesInADrain(t *testing.T) {
	t.Parallel()
	g := newBalance(t)
	k := pool.New(nil)
	_, a := acttest.Stage(t, k, g.drain("a", time.Minute))
	if len(a.Undo) == 0 || a.For <= time.Minute {
		t.Fatalf("nobody would make it ready: %+v", a)
	}
	g.set("a", "drain")
	diesAfter(t, g.journal, a)
	if got := g.state("a"); got != "2 0" {
		t.Errorf("a is left as %s", got)
	}

	s, a := acttest.Stage(t, k, g.drain("a", time.Minute))
	if phase, why := k.Settle(t.Context(), a); phase != incident.Unknown || len(a.Undo) > 0 || a.For != 0 {
		t.Errorf("before it ran: %s, %s, %+v", phase, why, a)
	}
	for range 2 { // it has no session that it would wait for
		if err := k.Act(t.Context(), s); err != nil || g.state("a") != "2 0" {
			t.Fatal(err, g.state("a"))
		}
		s, _ = acttest.Stage(t, k, g.drain("a", time.Minute))
	}
	_, a = acttest.Stage(t, k, g.drain("a", time.Minute))
	g.Stop()
	if phase, why := k.Settle(t.Context(), a); phase != incident.Unknown || len(a.Undo) == 0 || a.For == 0 {
		t.Errorf("without HAProxy: %s, %s, %+v", phase, why, a)
	}
}
