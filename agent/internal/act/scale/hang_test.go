package scale_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/scale"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
)

func (g *front) freeze() {
	g.T.Helper()
	if err := g.Freeze(); err != nil {
		g.T.Error(err) // also by a goroutine
	}
}

func (g *front) thaw() {
	g.T.Helper()
	if err := g.Thaw(); err != nil {
		g.T.Fatal(err)
	}
}

// freezesAt has HAProxy hang as the agent asks it something with that word in it, and the agent's patience end then.
func (g *front) freezesAt(word string) context.Context {
	g.T.Helper()
	return g.endsAt(word, g.freeze)
}

// endsAt has the agent's patience end as it asks HAProxy something with that word in it, when do is done.
func (g *front) endsAt(word string, do func()) context.Context {
	g.T.Helper()
	ctx, cancel := context.WithCancel(g.T.Context())
	g.T.Cleanup(cancel)
	g.asks(acttest.Tap(g.T, g.Stats, word, func() { do(); cancel() }))
	return ctx
}

// asks has the agent ask HAProxy by that socket from now on, also of what it has recorded before.
func (g *front) asks(socket string) {
	g.T.Helper()
	next := g.pool.HAProxy + ".new"
	if err := errors.Join(os.Symlink(socket, next), os.Rename(next, g.pool.HAProxy)); err != nil {
		g.T.Fatal(err)
	}
}

// doubted checks what an action says that left a server behind of which nobody knows, and what is said of it and done about
// it while HAProxy hangs: it is tried again.
func (g *front) doubted(k scale.Kind, s *kind.Step, a *incident.Attempt, err error, want string) {
	g.T.Helper()
	if err == nil || !strings.Contains(err.Error(), want) ||
		!strings.HasSuffix(err.Error(), "it may be drained until HAProxy answers again") || s.For != 1 {
		g.T.Errorf("%v, due after %s; want %q", err, s.For, want)
	}
	impatient := func() context.Context { return g.endsAt("show servers state", func() {}) }
	left := *a
	if phase, why := k.Settle(impatient(), &left); phase != incident.Acted || left.For != 1 ||
		!strings.Contains(why, "what may be drained while its instance runs: web/w2") {
		g.T.Errorf("settled as %s, due after %s: %s", phase, left.For, why)
	}
	a.Undo = kind.Raw(s.Undo)
	g.fails(k.Undo(impatient(), a))
}

// fails checks that an undo is tried again.
func (g *front) fails(err error) {
	g.T.Helper()
	var refusal *kind.Refusal
	if err == nil || errors.As(err, &refusal) && !refusal.Temporary {
		g.T.Errorf("nobody would try again: %v", err)
	}
}

// back takes it back when HAProxy goes on, which leaves w1, w2 and w3 like this.
func (g *front) back(k scale.Kind, a *incident.Attempt, servers ...string) {
	g.T.Helper()
	g.thaw()
	if err := k.Undo(g.T.Context(), a); err != nil {
		g.T.Error(err)
	}
	g.become(servers...)
}

// become waits until w1, w2 and w3 are like this.
func (g *front) become(servers ...string) {
	g.T.Helper()
	for i, want := range servers {
		g.becomes([]string{"w1", "w2", "w3"}[i], want)
	}
}

// A HAProxy that hangs stops no instance whose server it was not seen to drain, and has that ready when it goes on.
func TestHAProxyHangs(t *testing.T) {
	t.Parallel()
	g := newFront(t, 1, 2)
	k := g.kind()
	slow := g.slow()
	before := g.invocations("worker@1.service", "worker@2.service")

	s, _ := acttest.Stage(t, k, g.by(-1))
	g.freeze()
	if err := k.Act(t.Context(), s); !errors.Is(err, context.DeadlineExceeded) || s.For != 0 ||
		!strings.Contains(err.Error(), "stop worker@2.service, after 0 of 1: drain server web/w2: ask HAProxy") {
		t.Errorf("before it is told: %v, due after %s", err, s.For)
	}
	g.thaw()

	told := g.freezesAt("web/w2 state drain")
	s, a := acttest.Stage(t, k, g.by(-1))
	g.doubted(k, s, a, k.Act(told, s), "after 0 of 1: drain server web/w2: ask HAProxy")
	g.back(k, a, "2 0", "2 0", "0 0")

	g.asks(g.Stats)
	s, a = acttest.Stage(t, k, g.by(-1))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Act(ctx, s) }()
	g.becomes("w2", "2 8")
	g.freeze()
	cancel()
	g.doubted(k, s, a, <-done, "after 0 of 1: drain server web/w2")
	g.back(k, a, "2 0", "2 0", "0 0")

	if after := g.invocations("worker@1.service", "worker@2.service"); after != before {
		t.Error("an instance was touched")
	}
	g.put("release")
	if got := <-slow; got != "w2" {
		t.Errorf("a request was cut off: %q", got)
	}
}

// Half-way, what was stopped runs again although HAProxy hangs, and gets requests again when that goes on. That one instance
// has to stay down is not the last word while another's server is drained.
func TestHAProxyHangsHalfWay(t *testing.T) {
	t.Parallel()
	g := newFront(t, 1, 2, 3)
	k := g.kind()
	before := g.invocations("worker@1.service", "worker@2.service")
	told := g.freezesAt("web/w2 state drain")
	s, a := acttest.Stage(t, k, g.by(-2))
	g.doubted(k, s, a, k.Act(told, s), "stop worker@2.service, after 1 of 2: drain server web/w2")
	done := make(chan error, 1)
	go func() { done <- k.Undo(t.Context(), a) }()
	g.Becomes("worker@3.service", "up again", func(u systemd.Unit) bool { return u.Active == "active" })
	g.thaw()
	if err := <-done; err != nil {
		t.Error(err)
	}
	g.become("2 0", "2 0", "2 0")
	g.run("1", "2", "3")
	if after := g.invocations("worker@1.service", "worker@2.service"); after != before {
		t.Error("an instance was touched that was not stopped")
	}

	g.args.Wait = 5 * time.Second // for a HAProxy that hangs
	s, a = acttest.Stage(t, k, g.by(-2))
	if err := k.Act(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	g.run("1")
	g.Do("mask", "--runtime", "worker@3.service")
	agenttest.Eventually(t, func() bool {
		_, known := g.Watcher.Unit("worker@3.service")
		return !known
	}, "systemd has forgotten worker@3.service, and is asked")
	g.freeze()
	g.fails(k.Undo(t.Context(), a))
	g.run("1", "2")
	g.thaw()
	var refusal *kind.Refusal
	if err := k.Undo(t.Context(), a); !errors.As(err, &refusal) || refusal.Temporary || g.state("w2") != "2 0" || g.state("w3") != "0 8" {
		t.Errorf("%v, w2 is %s, w3 %s", err, g.state("w2"), g.state("w3"))
	}
}

// An instance that was started while HAProxy hung does not stay behind a server that is drained.
func TestHAProxyHangsAtAStart(t *testing.T) {
	t.Parallel()
	g := newFront(t, 1)
	k := g.kind()
	g.set("w2", "drain")
	s, a := acttest.Stage(t, k, g.by(1))
	told := g.freezesAt("show servers state")
	g.doubted(k, s, a, k.Act(told, s), "start worker@2.service, after 0 of 1: take in server web/w2: ")
	g.run("1", "2")
	g.back(k, a, "2 0", "0 8", "0 0")
	g.run("1")
}
