package sim

import (
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/logpb"
)

func newGeneration(id string) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{Id: id,
		Reason: "restored"}}}
}

// order is what a person says to the controller.
func (w *World) order(c *logpb.Command) {
	if w.raft.leader != nil {
		seen := w.called(c)
		w.propose(w.raft.leader, func(rs []*logpb.Result) { seen(rs[0]) }, c)
	}
}

// person does something, and tells the truth.
func (w *World) person(h *host) {
	switch n := w.dice.IntN(100); {
	case n < 12:
		w.order(pause(pick(w, []string{"all", "host:" + h.m.ID, "service:web", "service:db"}),
			w.between(0, 3)*10*time.Second))
	case n < 45:
		w.resume()
	case n < 57:
		w.revoke()
	case n < 65:
		w.force()
	case n < 75:
		w.adopt(h)
	case n < 78:
		w.remove(h)
	case n < 86:
		w.order(w.configuration())
	default:
		w.incidents()
	}
}

func pause(scope string, length time.Duration) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_Pause{Pause: &logpb.PauseCommand{Scope: scope, By: "ann", Reason: "work",
		For: int64(length)}}}
}

// resume ends one pause, or lets begin again what failed twice. Before the first one after a restore, a person
// makes sure that every machine that there is has said hello.
func (w *World) resume() {
	var of []string
	for _, p := range w.state().Pauses() {
		if !p.GetGeneration() || w.allKnown() {
			of = append(of, p.GetId())
		}
	}
	for _, x := range w.state().Widths("") {
		if len(x.GetFailed()) > 1 && x.GetService() != "" {
			of = append(of, "service:"+x.GetService())
		}
	}
	if len(of) > 0 {
		w.order(&logpb.Command{What: &logpb.Command_Resume{Resume: &logpb.ResumeCommand{Pause: pick(w, of), By: "ann"}}})
	}
}

// allKnown reports whether the log knows every machine. One that was enrolled after the snapshot was made is
// known to nobody until it says hello.
func (w *World) allKnown() bool {
	for _, h := range w.present() {
		if k := w.state().Host(h.m.ID); k == nil && !h.banned {
			return false
		}
	}
	return true
}

func (w *World) revoke() {
	if open := w.state().Permits(); len(open) > 0 {
		p := pick(w, open)
		w.order(&logpb.Command{What: &logpb.Command_Revoke{Revoke: &logpb.Revoke{Token: p.GetToken(), Epoch: p.GetEpoch(),
			By: "ann", Reason: "no"}}})
	}
}

// force settles a permit of which nothing runs and nothing can begin any more: the person has looked.
func (w *World) force() {
	for _, p := range w.state().Permits() {
		if w.dead(p) && w.chance(50) {
			w.order(&logpb.Command{What: &logpb.Command_ForceSettle{ForceSettle: &logpb.ForceSettle{Token: p.GetToken(),
				Epoch: p.GetEpoch(), By: "ann", Reason: "looked at it"}}})
			return
		}
	}
}

// dead reports whether nothing of a permit runs, is on its way, or can begin.
func (w *World) dead(p *logpb.Permit) bool {
	t := permit.TokenOf(p.GetToken())
	if w.Witness.Runs(p.GetHost(), t) {
		return false
	}
	for _, h := range w.hosts {
		if h.m.ID == p.GetHost() && !h.gone && h.a != nil && (h.a.Frozen() || h.a.Busy() > 0 || h.a.Live()) {
			return false
		}
	}
	return true
}

// adopt says which machine is a quarantined host: the only one that there still is.
func (w *World) adopt(h *host) {
	k := w.state().Host(h.m.ID)
	if k.GetQuarantined() == "" {
		return
	}
	for _, o := range w.present() {
		if o != h && o.m.ID == h.m.ID {
			return // a person would first find out which one
		}
	}
	h.banned = false
	w.order(&logpb.Command{What: &logpb.Command_AdoptHost{AdoptHost: &logpb.AdoptHost{Host: h.m.ID, By: "ann",
		Fingerprint: h.m.Fingerprint}}})
}

// remove strikes a host off, saying that it is off only if it is, and for ever. What is still there enrols anew.
func (w *World) remove(h *host) {
	if len(w.present()) < 4 {
		return
	}
	gone := w.chance(50)
	if gone {
		for _, o := range w.present() {
			if o.m.ID == h.m.ID {
				o.vanish(w)
			}
		}
	}
	c := &logpb.Command{What: &logpb.Command_RemoveHost{RemoveHost: &logpb.RemoveHost{Host: h.m.ID, By: "ann",
		Gone: gone}}}
	if w.raft.leader == nil {
		return
	}
	w.propose(w.raft.leader, func(rs []*logpb.Result) {
		if rs[0].GetRefusal() == nil {
			runs := h.m.Services() // another machine, or the same one anew, takes its place
			w.after(w.between(0, 30*time.Second), func() { w.enrol(runs...) })
		}
	}, c)
}

// incidents lets a person do something with one, or with a breaker.
func (w *World) incidents() {
	for _, b := range w.state().Breakers() {
		if b.GetOpen() && w.chance(50) {
			c := &logpb.CloseBreaker{Service: b.GetService(), Rule: b.GetRule(), By: "ann"}
			if w.chance(50) {
				c.Host = pick(w, w.present()).m.ID
			}
			w.order(&logpb.Command{What: &logpb.Command_CloseBreaker{CloseBreaker: c}})
			return
		}
	}
	all := w.state().Incidents()
	if len(all) == 0 {
		return
	}
	i := pick(w, all)
	switch w.dice.IntN(4) {
	case 0:
		w.order(&logpb.Command{What: &logpb.Command_Acknowledge{Acknowledge: &logpb.Acknowledge{Incident: i.GetId(),
			By: "ann", KeepHealing: w.chance(50)}}})
	case 1, 2:
		w.order(&logpb.Command{What: &logpb.Command_Release{Release: &logpb.Release{Incident: i.GetId(), By: "ann"}}})
	default:
		w.order(&logpb.Command{What: &logpb.Command_ResolveIncident{ResolveIncident: &logpb.ResolveIncident{
			Incident: i.GetId(), By: "ann", Reason: "done"}}})
	}
}

// configuration is what a file of a node says.
func (w *World) configuration() *logpb.Command {
	c := &logpb.Config{
		FleetMax: uint32(pick(w, []int{0, 0, 2, 3, 5})), BreakerWindow: int64(60 * time.Second),
		Digest: fmt.Append(nil, w.dice.Uint64()),
		Escalations: []*logpb.Escalation{{Name: "default", Steps: []*logpb.Step{{Notify: []string{"slack.ops"}},
			{After: int64(time.Minute), Notify: []string{"pager.ops"}, Repeat: 2}}}},
	}
	for _, s := range services {
		x := &logpb.Service{Name: s, Autonomy: "full"}
		switch n := uint32(w.dice.IntN(8)); {
		case n < 4:
			x.MaxUnavailable = number(n)
		case n < 7:
			x.MaxUnavailableShare = number(n * 90_000)
		}
		if w.chance(5) {
			x.Autonomy = "observe"
		}
		c.Services = append(c.Services, x)
	}
	return &logpb.Command{What: &logpb.Command_Configure{Configure: &logpb.Configure{By: "ctl-1", Config: c}}}
}

func number(n uint32) *uint32 { return &n }
