package controllertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/salveops/salve/controller/controllertest/model"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// Attempt is what an agent wants to do.
type Attempt struct {
	h       *Host
	service string
	options []func(*model.Want)
	id      string
	again   bool // it was asked for more than once
}

// Ask lets the agent want to restart a service, once it has a session. Options change what it wants.
func (h *Host) Ask(service string, options ...func(*model.Want)) *Attempt {
	h.c.t.Helper()
	a := &Attempt{h: h, service: service, options: options}
	h.c.Eventually(h.Machine.ID+" can ask", a.ask)
	return a
}

// TryAsk is Ask for a host that may not have a session; false: it has none.
func (h *Host) TryAsk(service string, options ...func(*model.Want)) (*Attempt, bool) {
	a := &Attempt{h: h, service: service, options: options}
	return a, a.ask()
}

// ask asks once, and reports whether that was possible.
func (a *Attempt) ask() (asked bool) {
	w := model.Want{Service: a.service, Rule: "slow", Remedy: "restart", Digest: []byte("restart"), Takes: time.Hour,
		Leaves: model.Well}
	for _, o := range a.options {
		o(&w)
	}
	a.h.with("", func() {
		if a.h.agent == nil || a.h.frozen {
			return
		}
		a.h.c.wants++
		id := fmt.Sprintf("%s-%d", a.h.Machine.ID, a.h.c.wants)
		if asked = a.h.agent.Want(id, w) == nil; asked {
			a.id = id
			a.h.c.note("%s wants %s for %s", a.h.Machine.ID, a.id, a.service)
		}
	})
	return asked
}

// Lasts is for how long the action takes, by the cluster's clocks; without it an hour, which no test waits for.
func Lasts(d time.Duration) func(*model.Want) { return func(w *model.Want) { w.Takes = d } }

// With changes the remedy, so that it is another one for the width.
func With(remedy string) func(*model.Want) {
	return func(w *model.Want) { w.Remedy, w.Digest = remedy, []byte(remedy) }
}

// Fate is what became of the attempt: see model.Agent.
func (a *Attempt) Fate() (fate string) {
	a.h.with("", func() {
		if a.h.agent != nil {
			fate = a.h.agent.Fate(a.id)
		}
	})
	return fate
}

// Becomes waits for a fate that begins like that. One that is final and another one ends the test; but what came to
// nothing because this machine is slow is asked again: a request of which nobody knows what became, because its session
// ended, and a permit that came too late. Until that one is back, the host itself stands in its way.
func (a *Attempt) Becomes(want string) *Attempt {
	a.h.c.t.Helper()
	a.h.c.Eventually(fmt.Sprintf("%s is %s", a.id, want), func() bool {
		fate := a.Fate()
		switch {
		case strings.HasPrefix(fate, want):
		case fate == "refused: cut", strings.HasPrefix(fate, "void: late:"), a.again && fate == "refused: target":
			a.again = true
			a.ask()
		case a.over(fate):
			a.h.c.t.Fatalf("%s is %q, want %q", a.id, fate, want)
		}
		return strings.HasPrefix(fate, want)
	})
	return a
}

// over reports whether nothing becomes of the attempt any more.
func (a *Attempt) over(fate string) bool {
	return fate != "asked" && fate != "granted" && fate != "acting"
}

// Acts waits until the action really runs.
func (a *Attempt) Acts() *Attempt {
	a.h.c.t.Helper()
	a.Becomes("acting")
	a.h.c.Eventually(a.id+" runs", func() (runs bool) {
		a.h.with("", func() { runs = a.h.Machine.Active(a.id) })
		return runs
	})
	return a
}

// Over ends the action that runs, as if it had taken so long.
func (a *Attempt) Over() *Attempt {
	a.h.with("", func() { a.h.Machine.Finish(a.id) })
	return a
}

// Refused waits for a refusal of that kind.
func (a *Attempt) Refused(code string) {
	a.h.c.t.Helper()
	a.Becomes("refused: " + code)
}

// Counted are the hosts of a service that the log counts as acting.
func (c *Cluster) Counted(service string) (hosts []string) {
	c.t.Helper()
	c.View(func(s *state.State) { hosts = s.Service(service).Acting })
	return hosts
}

// Permits are how many are open.
func (c *Cluster) Permits() (n int) {
	c.t.Helper()
	c.View(func(s *state.State) { n = len(s.Permits()) })
	return n
}

// Lost reports whether the log says that a host is lost.
func (c *Cluster) Lost(host string) (is bool) {
	c.t.Helper()
	c.View(func(s *state.State) { is = s.Host(host).GetLost() })
	return is
}

// Awaited reports whether the log waits for a host's hello in this generation.
func (c *Cluster) Awaited(host string) (is bool) {
	c.t.Helper()
	c.View(func(s *state.State) { is = s.Host(host).GetAwaited() })
	return is
}

// Generation is the one of the log.
func (c *Cluster) Generation() (g string) {
	c.t.Helper()
	c.View(func(s *state.State) { g = s.Generation() })
	return g
}

// Pause stops remedies everywhere.
func (c *Cluster) Pause() string {
	c.t.Helper()
	return c.Order(&logpb.Command{What: &logpb.Command_Pause{Pause: &logpb.PauseCommand{Scope: "all", By: "ann",
		Reason: "work"}}}).GetId()
}

// Resume ends a pause, or all of a scope.
func (c *Cluster) Resume(pause string) *logpb.Result {
	c.t.Helper()
	return c.Order(&logpb.Command{What: &logpb.Command_Resume{Resume: &logpb.ResumeCommand{Pause: pause, By: "ann"}}})
}

// errDown is what a caller gets at a door behind which nobody is.
var errDown = errors.New("connection refused")

// accept opens a connection with the node.
func (n *Node) accept(ctx context.Context) (net.Conn, error) {
	n.c.mu.Lock()
	door, up := n.door, n.up
	n.c.mu.Unlock()
	if !up {
		return nil, errDown
	}
	return door.DialContext(ctx)
}
