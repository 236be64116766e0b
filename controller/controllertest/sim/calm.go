package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/controller/controllertest/model"
	"github.com/salveops/salve/proto/logpb"
)

// How long things may take once nothing goes wrong any more.
const (
	settleWithin = 300 * time.Second // attempts of three long steps, and their undo
	grantWithin  = 30 * time.Second
	tellWithin   = 420 * time.Second // an incident that nobody names a time for is told after 5 min
)

// Calm lets nothing go wrong any more, has people do what only they can, and asserts that the fleet comes to
// rest and is of use again: every permit is settled, every host is permitted something in its turn, every alert
// is in one incident, and every incident ends or is told to people.
func (w *World) Calm() error {
	w.heal()
	if !w.until(settleWithin, w.rests) {
		return fmt.Errorf("the fleet does not come to rest: %s", w.unrest())
	}
	return errors.Join(w.everybodyIsServed(), w.everyAlertIsKept(), w.everyIncidentEnds())
}

// until lets time pass until something holds, and reports whether it came to that.
func (w *World) until(limit time.Duration, holds func() bool) bool {
	end := w.now + limit
	for w.now < end {
		if len(w.Wrong()) > 0 || holds() {
			return len(w.Wrong()) == 0
		}
		w.Step()
	}
	return false
}

// heal ends every fault.
func (w *World) heal() {
	w.calm = true
	w.tell("from here on nothing goes wrong")
	for _, h := range w.hosts {
		if h.clone {
			h.vanish(w)
		}
	}
	for _, h := range w.present() {
		h.cut, h.banned = [2]*node{}, false
		switch {
		case h.off:
			h.powerOn(w)
		case h.a == nil:
			h.start(w)
		case h.frozen:
			h.thaw(w)
		}
		for _, s := range h.m.Services() {
			w.set(h, s, model.Well)
		}
	}
	if w.raft.leader == nil {
		w.elect()
	}
	w.order(plain())
	w.every(5*time.Second, w.tidy)
}

// plain is a configuration in which everything is as usual.
func plain() *logpb.Command {
	c := &logpb.Config{Digest: []byte("plain"), Escalations: []*logpb.Escalation{{Name: "default",
		Steps: []*logpb.Step{{Notify: []string{"slack.ops"}}}}}}
	for _, s := range services {
		c.Services = append(c.Services, &logpb.Service{Name: s, Autonomy: "full"})
	}
	return &logpb.Command{What: &logpb.Command_Configure{Configure: &logpb.Configure{By: "ctl-1", Config: c}}}
}

// tidy is what people do when they have the time for it.
func (w *World) tidy() {
	if w.quiet {
		return
	}
	for _, k := range w.state().Hosts() {
		w.lookAfter(k)
	}
	for _, h := range w.present() {
		for _, s := range h.m.Services() { // what a remedy left down or sick
			if h.m.Health(s) != model.Well {
				w.set(h, s, model.Well)
			} else if h.a != nil {
				h.a.Calm(s)
			}
		}
	}
	w.resume()
	for _, b := range w.state().Breakers() {
		w.order(&logpb.Command{What: &logpb.Command_CloseBreaker{CloseBreaker: &logpb.CloseBreaker{Service: b.GetService(),
			Rule: b.GetRule(), By: "ann"}}})
	}
	for _, i := range w.state().Incidents() {
		switch {
		case i.GetState() == logpb.IncidentState_INCIDENT_STATE_ACKNOWLEDGED:
			w.order(&logpb.Command{What: &logpb.Command_Release{Release: &logpb.Release{Incident: i.GetId(), By: "ann"}}})
		case i.GetState() != logpb.IncidentState_INCIDENT_STATE_RESOLVED && w.orphaned(i):
			w.order(&logpb.Command{What: &logpb.Command_ResolveIncident{ResolveIncident: &logpb.ResolveIncident{
				Incident: i.GetId(), By: "ann", Reason: "its journal was lost"}}})
		}
	}
}

// orphaned reports whether something fires in an incident that no journal knows any more: nobody but a person
// can say that it is over.
func (w *World) orphaned(i *logpb.Incident) bool {
	known := map[string]bool{}
	for _, h := range w.present() {
		for _, a := range h.m.Disk.Alerts {
			known[a.Key.String()] = true
		}
	}
	return slices.ContainsFunc(w.state().AlertsOf(i.GetId()), func(a *logpb.Alert) bool {
		return a.GetResolved() == 0 && a.GetKey().GetStream() != "" && !known[a.GetKey().String()]
	})
}

// lookAfter strikes off what is gone, and takes back what was quarantined.
func (w *World) lookAfter(k *logpb.Host) {
	i := slices.IndexFunc(w.present(), func(h *host) bool { return h.m.ID == k.GetId() })
	switch {
	case k.GetRemoved():
		if i >= 0 {
			w.present()[i].vanish(w)
		}
	case i < 0:
		w.order(&logpb.Command{What: &logpb.Command_RemoveHost{RemoveHost: &logpb.RemoveHost{Host: k.GetId(), By: "ann",
			Gone: true}}})
	case k.GetQuarantined() != "":
		w.adopt(w.present()[i])
	default:
		w.present()[i].banned = false // it may have been turned away just before a person said that it is meant
	}
}

func (w *World) rests() bool { return w.unrest() == "" }

// unrest says what is still going on.
func (w *World) unrest() string {
	s := w.state()
	if open := s.Permits(); len(open) > 0 {
		return fmt.Sprintf("%v is open", open[0])
	}
	if p := s.Pauses(); len(p) > 0 {
		return fmt.Sprintf("%v holds", p[0])
	}
	for _, h := range w.present() {
		k := s.Host(h.m.ID)
		if k == nil || k.GetRemoved() || k.GetLost() || k.GetAwaited() || k.GetQuarantined() != "" || h.a == nil ||
			!h.a.Live() ||
			h.a.Busy() > 0 || h.a.Open() > 0 || h.a.Backlog() > 0 {
			return fmt.Sprintf("%s: live %t, %d attempts, %d permits, %d events to tell; the log has %v", h.m.ID,
				h.a != nil && h.a.Live(), h.busy(), h.open(), h.backlog(), k)
		}
	}
	for _, i := range s.Incidents() {
		if i.GetState() != logpb.IncidentState_INCIDENT_STATE_RESOLVED {
			return fmt.Sprintf("incident %s is %v: %v", i.GetTitle(), i.GetState(), w.firing(i))
		}
	}
	return ""
}

// firing are the alerts of an incident that are not over, by the log, with what their journals say.
func (w *World) firing(i *logpb.Incident) []string {
	var out []string
	for _, a := range w.state().AlertsOf(i.GetId()) {
		if a.GetResolved() != 0 {
			continue
		}
		says := "no journal knows it"
		for _, h := range w.present() {
			for _, j := range h.m.Disk.Alerts {
				if j.Key.String() == a.GetKey().String() {
					says = fmt.Sprintf("its journal says over: %t", j.Over)
				}
			}
		}
		out = append(out, fmt.Sprintf("%s of %s on %s %v (%s)", a.GetRule(), a.GetService(), a.GetHostName(), a.GetKey(),
			says))
	}
	return out
}

func (h *host) busy() int {
	if h.a == nil {
		return 0
	}
	return h.a.Busy()
}

func (h *host) open() int {
	if h.a == nil {
		return 0
	}
	return h.a.Open()
}

func (h *host) backlog() int {
	if h.a == nil {
		return 0
	}
	return h.a.Backlog()
}

// everybodyIsServed lets each host ask for something in its turn. In a healthy fleet it gets it.
func (w *World) everybodyIsServed() error {
	for _, h := range w.present() {
		before := w.counts["request"]
		served := func() bool {
			if h.a.Busy() == 0 && h.a.Live() && w.counts["request"] == before {
				w.wants++
				_ = h.a.Want(fmt.Sprintf("last-%d", w.wants), model.Want{Service: h.m.Services()[0], Rule: "new", Remedy: "restart",
					Digest: []byte(h.m.ID), Takes: time.Second, Leaves: model.Well}) // if its session ends, it wants again
			}
			return w.counts["request"] > before
		}
		if !w.until(grantWithin, served) {
			return fmt.Errorf("%s is permitted nothing in a healthy fleet", h.m.ID)
		}
		if !w.until(settleWithin, w.rests) {
			return fmt.Errorf("after a repair of %s: %s", h.m.ID, w.unrest())
		}
	}
	return nil
}

// everyAlertIsKept: what reached a journal came into an incident. That it is in one only, the auditor asserts.
func (w *World) everyAlertIsKept() error {
	for _, h := range w.present() {
		for _, a := range h.m.Disk.Alerts {
			if !w.Audit.Kept(a.Key) {
				return fmt.Errorf("alert %v of %s is in no incident", a.Key, h.m.ID)
			}
		}
	}
	return nil
}

// everyIncidentEnds: what fires and is not healed is told to people in time, and its end, too.
func (w *World) everyIncidentEnds() error {
	h := pick(w, w.present())
	w.quiet = true // nobody tidies up
	w.set(h, h.m.Services()[0], model.Sick)
	told := func() bool {
		for _, i := range w.state().Incidents() {
			for _, m := range w.state().DeliveriesOf(i.GetId()) {
				if i.GetState() == logpb.IncidentState_INCIDENT_STATE_ESCALATED &&
					m.GetState() == logpb.DeliveryState_DELIVERY_STATE_TOLD {
					return true
				}
			}
		}
		return false
	}
	if !w.until(tellWithin, told) {
		return fmt.Errorf("nobody is told of an incident that nothing heals: %v", w.state().Incidents())
	}
	w.quiet = false
	if !w.until(settleWithin, w.rests) {
		return fmt.Errorf("after the end of an incident: %s", w.unrest())
	}
	return nil
}
