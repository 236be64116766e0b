package scale_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/haproxy"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
)

// front is a fleet behind a real HAProxy, which looks after the health of w1, w2 and w3.
type front struct {
	*fleet
	*agenttest.Balancer
	dir    string
	pool   *config.Pool
	client http.Client
}

func newFront(t *testing.T, running ...int) *front {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "salve-scale-") // t.TempDir() may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b := agenttest.HAProxy(t, " option httpchk GET /health\n timeout check 10s\n default-server check inter 50ms fall 1 rise 1\n server w1 unix@"+dir+
		"/w1\n server w2 unix@"+dir+"/w2\n server w3 unix@"+dir+"/w3")
	f := newFleet(t, "[Service]\nType=notify\nTimeoutStopSec=1s\nExecStart="+os.Args[0]+" worker "+dir+"/w%i\n", running...)
	g := &front{fleet: f, Balancer: b, dir: dir, pool: &config.Pool{Name: "front", HAProxy: dir + "/haproxy", Backend: "web"}}
	if err := os.Symlink(b.Stats, g.pool.HAProxy); err != nil {
		t.Fatal(err)
	}
	f.args.Balancer, f.args.Server, f.args.Wait, f.args.Max = "front", "w%i", wait, 3
	f.Runner.SetAllow(append(acttest.Everything(), config.Allow{Pools: []string{"front"}, Actions: []string{"reset_pool"}}))
	g.client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", b.Front)
	}}
	for n := 1; n <= 3; n++ {
		want := "0 0"
		for _, r := range running {
			if r == n {
				want = "2 0"
			}
		}
		g.becomes("w"+string(rune('0'+n)), want)
	}
	return g
}

func (g *front) by(n int) kind.Request {
	q := g.fleet.by(n)
	q.Remedy.Service = &config.Service{Name: "web", Pools: []*config.Pool{g.pool}}
	return q
}

// state is whether the server runs (2), and what was done to it by hand: "2 8" is drained.
func (g *front) state(server string) string {
	raw, err := haproxy.Ask(context.Background(), g.Stats, "show servers state web")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(raw)) {
		if cells := strings.Fields(line); len(cells) > 10 && cells[3] == server {
			return cells[5] + " " + cells[6]
		}
	}
	return ""
}

func (g *front) becomes(server, want string) {
	g.T.Helper()
	agenttest.Eventually(g.T, func() bool { return g.state(server) == want }, server+" is "+want)
}

func (g *front) set(server, state string) {
	g.T.Helper()
	if err := g.Command(g.T.Context(), "set server web/"+server+" state "+state, "\n"); err != nil {
		g.T.Fatal(err)
	}
}

func (g *front) put(name string) {
	g.T.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, name), nil, 0o600); err != nil {
		g.T.Fatal(err)
	}
}

// get asks the balancer; what it answers comes over the channel.
func (g *front) get(path string) <-chan string {
	got := make(chan string, 1)
	go func() {
		res, err := g.client.Get("http://web.test" + path)
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		got <- string(text)
	}()
	return got
}

// slow is a request that w2 is at work on.
func (g *front) slow() <-chan string {
	g.T.Helper()
	g.set("w1", "maint")
	got := g.get("/slow")
	agenttest.Eventually(g.T, func() bool { return os.Remove(filepath.Join(g.dir, "asked")) == nil }, "w2 is asked")
	g.set("w1", "ready")
	g.becomes("w1", "2 0")
	return got
}

// Before an instance is stopped it has answered what it was asked; the next one that is started gets requests when it is
// healthy, and not before.
func TestBalanced(t *testing.T) {
	t.Parallel()
	g := newFront(t, 1, 2)
	slow := g.slow()
	done := make(chan incident.Attempt, 1)
	go func() {
		a, err := g.Run(g.by(-1))
		if err != nil {
			t.Error(err)
		}
		done <- a
	}()
	g.becomes("w2", "2 8")
	if got := <-g.get("/"); got != "w1" {
		t.Errorf("while w2 is drained, a request gets %q", got)
	}
	g.run("1", "2")
	g.put("release")
	if got := <-slow; got != "w2" {
		t.Errorf("a request was cut off: %q", got)
	}
	if a := <-done; a.Error != "" || a.For != 0 {
		t.Fatalf("%+v", a)
	}
	g.run("1")
	g.becomes("w2", "0 8")

	g.put("ill")
	g.args.Wait = 300 * time.Millisecond
	a, err := g.Run(g.by(1))
	if err != nil || !strings.Contains(a.Error, "web/w2 is not healthy after 300ms") || g.state("w2") != "0 8" {
		t.Fatalf("%+v, %v, w2 is %s", a, err, g.state("w2"))
	}
	g.undo(a)
	g.run("1")
	if err := os.Remove(filepath.Join(g.dir, "ill")); err != nil {
		t.Fatal(err)
	}
	g.becomes("w1", "2 0")
	g.args.Wait = wait
	up := g.Must(g.by(2))
	if g.state("w2") != "2 0" || g.state("w3") != "2 0" {
		t.Errorf("w2 is %s, w3 %s", g.state("w2"), g.state("w3"))
	}
	g.undo(up)
	g.run("1")
	if got := <-g.get("/"); got != "w1" || g.state("w1") != "2 0" {
		t.Errorf("then a request gets %q, and w1 is %s", got, g.state("w1"))
	}
}

// What must not be drained, or cannot be, stops no instance; and nothing is left drained that runs.
func TestBalancedRefuses(t *testing.T) {
	t.Parallel()
	g := newFront(t, 1, 2)
	refused := func(q kind.Request, want string, temporary bool) {
		t.Helper()
		g.Refused(q, want, temporary)
		g.run("1", "2")
	}
	g.set("w1", "drain")
	refused(g.by(-1), "no server of backend web would take requests", false)
	g.set("w1", "ready")
	g.set("w3", "maint")
	refused(g.by(1), "web/w3 is in maintenance: a person", false)
	g.set("w3", "ready")
	g.args.Server = "x%i"
	refused(g.by(1), `has no server "x3" for worker@3.service`, false)
	g.args.Server = "w%i"
	g.pool.Name = "other"
	refused(g.by(1), `no pool "front" of a HAProxy`, false)
	g.pool.Name = "front"
	allowed := acttest.Everything()
	g.Runner.SetAllow(allowed)
	refused(g.by(1), "permits reset_pool on front", false)
	g.Runner.SetAllow(append(allowed, config.Allow{Pools: []string{"front"}, Actions: []string{"reset_pool"}}))

	// The other server goes away while this one is drained: it is needed again.
	slow := g.slow()
	done := make(chan incident.Attempt, 1)
	go func() {
		a, _ := g.Run(g.by(-1))
		done <- a
	}()
	g.becomes("w2", "2 8")
	g.set("w1", "maint")
	if a := <-done; !strings.Contains(a.Error, "no other server") || g.state("w2") != "2 0" || a.For != 0 {
		t.Errorf("%+v, w2 is %s", a, g.state("w2"))
	}
	g.put("release")
	<-slow
	g.run("1", "2")
	g.set("w1", "ready")

	// A person's word on a server stands: it takes nothing, and its instance is stopped without it.
	g.set("w2", "maint")
	down := g.Must(g.by(-1))
	g.undo(down)
	if g.run("1", "2"); !strings.HasSuffix(g.state("w2"), " 1") {
		t.Errorf("w2 is %s", g.state("w2"))
	}
	g.set("w2", "ready")
	g.becomes("w2", "2 0")

	// HAProxy goes while it drains: the instance stays, and it is tried to make its server ready until that is done.
	if err := os.Remove(filepath.Join(g.dir, "release")); err != nil {
		t.Fatal(err)
	}
	slow = g.slow()
	go func() {
		a, _ := g.Run(g.by(-1))
		done <- a
	}()
	g.becomes("w2", "2 8")
	g.Balancer.Stop()
	if a := <-done; !strings.Contains(a.Error, "drained until HAProxy answers again") || a.For != 1 || len(a.Undo) == 0 {
		t.Errorf("%+v", a)
	}
	<-slow
	refused(g.by(-1), "the servers of pool front cannot be known now", true)
}

// However many stay ill, each server is made ready within the time of one undo: HAProxy sees by itself who is well.
func TestIllOnesAreTakenBack(t *testing.T) {
	t.Parallel()
	g := newFront(t, 1, 2, 3)
	k := g.kind()
	g.args.Wait = 15 * time.Second
	s, a := acttest.Stage(t, k, g.by(-2))
	if err := k.Act(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	g.put("ill")
	ctx, cancel := context.WithTimeout(t.Context(), 28*time.Second)
	defer cancel()
	if err := k.Undo(ctx, a); err != nil {
		t.Error(err)
	}
	g.run("1", "2", "3")
	for _, server := range []string{"w2", "w3"} {
		if got := g.state(server); got != "0 0" {
			t.Errorf("%s is %s", server, got)
		}
	}
}

// dies-in-the-middle: an agent that died between the two halves of a part leaves nothing drained that runs.
func TestBalancedDies(t *testing.T) {
	t.Parallel()
	g := newFront(t, 1, 2)
	k := g.kind()
	settles := func(a *incident.Attempt, want incident.Phase, due time.Duration) {
		t.Helper()
		if phase, why := k.Settle(t.Context(), a); phase != want || a.For != due {
			t.Errorf("%s, %s, due after %s; want %s, %s", phase, why, a.For, want, due)
		}
	}
	_, a := acttest.Stage(t, k, g.by(-1))
	untouched := *a
	settles(&untouched, incident.NotDone, 0)
	g.set("w2", "drain")
	settles(a, incident.Acted, 1)
	if err := k.Undo(t.Context(), a); err != nil || g.state("w2") != "2 0" {
		t.Errorf("%v, w2 is %s", err, g.state("w2"))
	}
	g.run("1", "2")

	_, a = acttest.Stage(t, k, g.by(-1))
	g.set("w2", "drain")
	g.Do("restart", "worker@2.service") // so that nobody knows whether it was stopped in between
	g.Heard()
	settles(a, incident.Acted, 1)
	if err := k.Undo(t.Context(), a); err != nil || g.state("w2") != "2 0" {
		t.Errorf("%v, w2 is %s", err, g.state("w2"))
	}

	g.set("w3", "drain")
	_, a = acttest.Stage(t, k, g.by(1))
	g.Up("worker@3.service")
	settles(a, incident.Acted, 1)
	if err := k.Undo(t.Context(), a); err != nil {
		t.Error(err)
	}
	g.run("1", "2")

	_, a = acttest.Stage(t, k, g.by(-1))
	g.Balancer.Stop()
	settles(a, incident.Acted, 1) // nobody knows, and so it is asked until that is known
	if err := k.Undo(t.Context(), a); err == nil {
		t.Error("a server is ready of which nothing is known")
	}
}
