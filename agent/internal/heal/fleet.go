package heal

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/session"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Controller is the way to the controller.
type Controller struct {
	Permits Permits
	Events  Events
	Orders  session.Orders // that held when the agent started
}

// command is what the engine knows of the controller; nil: this host is alone. All of it is the last that was
// known: standing orders go on binding while the controller is out of reach.
type command struct {
	Controller
	services map[string]*agentpb.ServiceOrder
	windows  []config.Window
	reports  []*logpb.ServiceReport // what the controller was last told of this host's services
	live     bool                   // a session is established
}

func newCommand(c *Controller) *command {
	if c == nil {
		return nil
	}
	f := &command{Controller: *c}
	f.take(c.Orders)
	return f
}

// take makes orders those that hold.
func (f *command) take(o session.Orders) {
	f.Orders = o
	f.services = make(map[string]*agentpb.ServiceOrder, len(o.GetServices()))
	for _, s := range o.GetServices() {
		f.services[s.GetService()] = s
	}
	f.windows = f.windows[:0]
	for _, w := range o.GetWindows() {
		f.windows = append(f.windows, windowOf(w))
	}
}

// windowOf is a recurring pause of the controller's. A zone that this host does not know counts as UTC; while
// the controller is there it opens its windows as pauses, whatever this host knows of zones.
func windowOf(w *logpb.Window) config.Window {
	out := config.Window{Name: w.GetName(), Services: w.GetServices(), From: w.GetFrom(), To: w.GetTo(),
		Reason: w.GetReason(), Zone: time.UTC}
	if zone, err := time.LoadLocation(w.GetZone()); err == nil {
		out.Zone = zone
	}
	for _, day := range w.GetDays() {
		out.Days = append(out.Days, time.Weekday(day%7))
	}
	return out
}

// Follow makes standing orders hold, and returns when they do: no step begins after that which they forbid. It
// may be called from any goroutine.
func (e *Engine) Follow(ctx context.Context, o session.Orders) error {
	return e.call(ctx, func() {
		e.fleet.take(o)
		e.learnChanges()
		e.obey()
		e.halts()
		e.rethink()
	})
}

// LineChanged says that a session with the controller began or ended. Nothing that waited is replayed: it is
// decided about again, on the facts of now. It may be called from any goroutine.
func (e *Engine) LineChanged(live bool) {
	e.post(func() {
		e.fleet.live = live
		e.rethink()
	})
}

// allPauses are this host's own and the controller's.
func (e *Engine) allPauses() []incident.Pause {
	if e.fleet == nil {
		return e.pauses
	}
	return append(slices.Clone(e.pauses), e.fleet.pauses(e.stamp(), e.o.Journal.Host())...)
}

// pauses are the controller's. While it is there a pause holds until it says that it is over; out of reach, for
// as long as it was made for from when this host first knew of it, which is too long rather than too short.
func (f *command) pauses(now clock.Stamp, host string) []incident.Pause {
	var out []incident.Pause
	for _, p := range f.Orders.GetPauses() {
		scope := p.GetScope()
		if kind, id, _ := strings.Cut(scope, ":"); kind == "host" {
			if id != host {
				continue
			}
			scope = "all"
		}
		pause := incident.Pause{ID: p.GetId(), Scope: scope, By: p.GetBy(), Reason: p.GetReason(), From: f.Orders.Known[p.GetId()]}
		if p.GetUntil() > 0 {
			pause.For = max(1, time.Duration(p.GetUntil()-p.GetFrom()))
			if left, holds := healing.PauseLeft(&pause, now); f.live && (!holds || left < time.Second) {
				pause.From, pause.For = now, time.Second
			}
		}
		out = append(out, pause)
	}
	return out
}

// allWindows are this host's own and the controller's.
func (e *Engine) allWindows() []config.Window {
	out := make([]config.Window, len(e.cfg.Windows))
	for i, w := range e.cfg.Windows {
		out[i] = *w
	}
	if e.fleet != nil {
		out = append(out, e.fleet.windows...)
	}
	return out
}

// broken reports whether the breaker of a rule is open for a service of this host.
func (f *command) broken(service, rule string) bool {
	if f == nil {
		return false
	}
	return slices.ContainsFunc(f.Orders.GetBreakers(), func(b *logpb.Breaker) bool {
		return b.GetOpen() && b.GetService() == service && b.GetRule() == rule
	})
}

// order is what holds for a service; without orders, nothing.
func (f *command) order(service string) *agentpb.ServiceOrder {
	if f == nil {
		return nil
	}
	return f.services[service]
}

// observes reports whether the controller lets the service do nothing alone. A level that this agent does not
// know is stricter than those it does.
func (f *command) observes(service string) bool {
	switch f.order(service).GetAutonomy() {
	case "", string(config.Full):
		return false
	}
	return true
}

// elsewhere is what the controller knows of a service that another host runs. Whether it is ill is not known any
// more once the controller is lost, and what is not known mutes nobody.
func (e *Engine) elsewhere(service string) (healing.Dependency, bool) {
	o := e.fleet.order(service)
	if o == nil {
		return healing.Dependency{}, false
	}
	return healing.Dependency{Service: service, Open: o.GetIncident() && !e.fleet.Permits.Lost(),
		Detection: time.Duration(max(0, o.GetDetection()))}, true
}

// generation is the controller's, "" for a host that is alone or has not met it yet.
func (e *Engine) generation() string {
	if e.fleet == nil {
		return ""
	}
	return e.fleet.Permits.Generation()
}
