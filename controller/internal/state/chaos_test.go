package state

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/salveops/salve/proto/logpb"
)

// chaos draws commands that mostly make sense in the state at hand, and sometimes none at all.
type chaos struct {
	t  *rapid.T
	s  *State
	at int64
	n  int
}

func (c *chaos) pick(what string, from ...string) string {
	return rapid.SampledFrom(from).Draw(c.t, what)
}

func (c *chaos) yes(what string) bool { return rapid.Bool().Draw(c.t, what) }

func (c *chaos) rarely(what string) bool { return rapid.IntRange(0, 9).Draw(c.t, what) == 0 }

func (c *chaos) host() string { return c.pick("host", "h1", "h2", "h3", "h4", "h5") }

func (c *chaos) service() string { return c.pick("service", "web", "db", "cache", "shop", "") }

func (c *chaos) who() string { return c.pick("who", "kim", "ann", "") }

func (c *chaos) length() int64 {
	return rapid.SampledFrom([]int64{0, second, minute, hour, day, -1, 1<<63 - 1}).Draw(c.t, "length")
}

// entry is what arrives together.
func (c *chaos) entry() *logpb.Entry {
	steps := []int64{0, 1, second, 10 * second, minute, 6 * minute, hour, day, 40 * day}
	c.at += rapid.SampledFrom(steps).Draw(c.t, "passes")
	e := &logpb.Entry{Format: 1, At: c.at, Node: "ctl-1"}
	for range rapid.IntRange(1, 5).Draw(c.t, "batch") {
		e.Commands = append(e.Commands, c.command())
	}
	return e
}

func (c *chaos) command() *logpb.Command {
	makers := []func() *logpb.Command{
		c.hello, c.hello, c.edges, c.request, c.request, c.settles, c.events, c.events, c.events, c.events,
		c.person, c.person, c.pauses, c.silences, c.delivers, c.delivers, c.delivers, c.ticks, c.ticks, c.operator,
		c.rules, c.rules,
	}
	return makers[rapid.IntRange(0, len(makers)-1).Draw(c.t, "command")]()
}

func (c *chaos) hello() *logpb.Command {
	h := c.s.Host(c.host())
	id := h.GetId()
	if h == nil {
		id = c.host()
		h = c.s.Host(id)
	}
	c.n++
	hello := &logpb.Hello{
		Host: id, Name: "name of " + id, Fingerprint: "f", BootId: "b", LastEpoch: h.GetEpoch(), Nonce: fmt.Sprint(c.n),
		Stream: orText(h.GetStream(), "s of "+id), LastEvent: h.GetMark(), Generation: c.s.generation, Index: c.s.index - 1,
		NewStream: fmt.Sprint("new ", c.n), NewGeneration: fmt.Sprintf("%032d", c.n), Twin: c.rarely("twin"),
		Labels: []*logpb.Label{{Name: "zone", Value: c.pick("zone", "a", "b")}},
	}
	switch {
	case c.rarely("stranger"):
		hello.Fingerprint = "another"
	case c.rarely("journal"):
		hello.LastEvent = 0
	case c.rarely("new journal"):
		hello.Stream = fmt.Sprint("journal ", c.n)
	case c.rarely("controller went back") && c.rarely("really"):
		hello.Index = c.s.index + 10
	}
	for range rapid.IntRange(0, 3).Draw(c.t, "services") {
		hello.Services = append(hello.Services, &logpb.ServiceReport{
			Service: c.service(), Serving: logpb.Serving(rapid.IntRange(0, 3).Draw(c.t, "serving")), Detection: second,
			DependsOn: []string{c.service(), c.service()},
		})
	}
	for _, p := range c.s.PermitsOf(id) {
		hello.Running = append(hello.Running, &logpb.Running{
			Token: p.GetToken(), Epoch: p.GetEpoch(), Targets: p.GetTargets(), Incident: p.GetIncident(),
			Unknown: c.rarely("unknown")})
	}
	if c.rarely("runs what nobody knows") {
		hello.Running = append(hello.Running, &logpb.Running{Token: &logpb.Token{Generation: "old", N: uint64(c.n)},
			Targets: []*logpb.Target{{Service: c.service(), Host: id}}, Remedy: "old remedy"})
	}
	return command(hello)
}

func (c *chaos) edges() *logpb.Command {
	e := &logpb.Edge{Host: c.host(), Lost: c.yes("lost")}
	if c.yes("service") {
		e.Epoch, e.Service = c.s.Host(e.GetHost()).GetEpoch(), c.service()
		e.Serving = logpb.Serving(rapid.IntRange(0, 3).Draw(c.t, "serving"))
	}
	return command(&logpb.Edges{Edge: []*logpb.Edge{e}})
}

func (c *chaos) request() *logpb.Command {
	h := c.s.Host(c.host())
	return command(&logpb.Request{
		Host: h.GetId(), Epoch: h.GetEpoch(), N: h.GetLastN() + uint64(rapid.IntRange(0, 1).Draw(c.t, "n")),
		Service: c.service(), Rule: c.rule(), Remedy: "restart", Digest: []byte(c.pick("digest", "x", "y")),
		Incident: c.local(), By: c.pick("by", "", "", "kim"),
		Undo: c.rarely("undo"), StartDead: c.rarely("dead"), RunFor: c.length(), Unit: c.pick("unit", "", "web.service"),
	})
}

func (c *chaos) settles() *logpb.Command {
	set := &logpb.Settle{Settlement: logpb.Settlement(rapid.IntRange(0, 5).Draw(c.t, "settlement"))}
	if all := c.s.Permits(); len(all) > 0 {
		p := rapid.SampledFrom(all).Draw(c.t, "permit")
		set.Host, set.SessionEpoch = p.GetHost(), c.s.Host(p.GetHost()).GetEpoch()
		set.Token, set.Epoch = p.GetToken(), p.GetEpoch()
		if c.rarely("force") {
			return command(&logpb.ForceSettle{Token: p.GetToken(), By: "kim"})
		}
		if c.rarely("revoke") {
			return command(&logpb.Revoke{Token: p.GetToken(), By: "kim"})
		}
	}
	return command(set)
}

func (c *chaos) rule() string { return c.pick("rule", "down", "slow", "full") }

func (c *chaos) local() string { return c.pick("local", "L1", "L2", "") }

func (c *chaos) events() *logpb.Command {
	h := c.s.Host(c.host())
	out := &logpb.Events{Host: h.GetId(), Epoch: h.GetEpoch(), Stream: h.GetStream()}
	for n := range rapid.IntRange(1, 3).Draw(c.t, "events") {
		out.Event = append(out.Event, c.event(h, h.GetMark()+uint64(n)+1))
	}
	return command(out)
}

func (c *chaos) event(h *logpb.Host, n uint64) *logpb.Event {
	e := &logpb.Event{N: n}
	switch rapid.IntRange(0, 9).Draw(c.t, "event") {
	case 0, 1, 2, 3:
		e.What = &logpb.Event_Fired{Fired: &logpb.Alert{
			Rule: c.rule(), Service: c.service(), Severity: c.pick("severity", "info", "warning", "critical"), Local: c.local(),
			Instance: c.pick("instance", "", "i"), Blind: c.rarely("blind"), Escalation: c.pick("escalation", "", "db", "none"),
			EscalateAfter: c.length(),
		}}
	case 4, 5, 6:
		key := &logpb.AlertKey{Stream: h.GetStream(), N: uint64(rapid.IntRange(0, 20).Draw(c.t, "fired"))}
		if live := sorted(c.s.derived.live[h.GetId()], compareKeys); len(live) > 0 {
			key = rapid.SampledFrom(live).Draw(c.t, "alert").GetKey()
		}
		e.What = &logpb.Event_Resolved{Resolved: &logpb.AlertEnd{Key: key, Verified: c.yes("verified")}}
	case 7:
		e.What = &logpb.Event_Story{Story: &logpb.Story{
			Local: c.local(), Event: &logpb.TimelineEvent{Type: "act", Text: "restarted"},
			Outcome:  &logpb.Statistic{Service: c.service(), Verified: 1},
			Evidence: []*logpb.EvidenceRef{{Digest: []byte{byte(n)}}},
		}}
	case 8:
		e.What = &logpb.Event_HandOver{HandOver: &logpb.HandOver{Local: c.local(), Reason: "spent"}}
	case 9:
		e.What = &logpb.Event_Page{Page: &logpb.LocalPage{
			Local: c.local(), Key: c.pick("key", "L1/0/0", "L2/0/0", ""), Notifiers: []string{"email.me"},
		}}
	}
	return e
}

func (c *chaos) person() *logpb.Command {
	id := "no incident"
	if all := c.s.Incidents(); len(all) > 0 {
		id = rapid.SampledFrom(all).Draw(c.t, "incident").GetId()
	}
	switch rapid.IntRange(0, 2).Draw(c.t, "act") {
	case 0:
		return command(&logpb.Acknowledge{Incident: id, By: c.who(), KeepHealing: c.yes("keep")})
	case 1:
		return command(&logpb.Release{Incident: id, By: c.who()})
	}
	return command(&logpb.ResolveIncident{Incident: id, By: c.who()})
}

func (c *chaos) pauses() *logpb.Command {
	scope := c.pick("scope", "all", "host:h1", "service:web", "service:*", "unit:web.service", "nothing")
	if c.yes("resume") {
		for _, p := range c.s.Pauses() {
			scope = p.GetId()
		}
		return command(&logpb.ResumeCommand{Pause: scope, By: c.who()})
	}
	return command(&logpb.PauseCommand{Scope: scope, By: c.who(), For: c.length(), Window: c.pick("window", "", "night")})
}

func (c *chaos) silences() *logpb.Command {
	if all := c.s.Silences(); len(all) > 0 && c.yes("end") {
		return command(&logpb.EndSilence{Id: all[0].GetId(), By: "kim"})
	}
	return command(&logpb.SilenceCommand{By: c.who(), For: c.length(), Match: []*logpb.Label{
		{Name: c.pick("label", "service", "host", "zone", "incident"), Value: c.pick("value", "*", "web", "a")}}})
}

func (c *chaos) delivers() *logpb.Command {
	d := &logpb.Delivered{Node: c.pick("node", "ctl-1", "ctl-1", "ctl-2"), Reached: c.rarely("reached")}
	if all := sorted(c.s.derived.waiting, compareDeliveries); len(all) > 0 {
		m := rapid.SampledFrom(all).Draw(c.t, "message")
		d.Key, d.Notifier, d.State = m.GetKey(), m.GetNotifier(), stClaimed
		if m.GetState() == stClaimed {
			d.State = logpb.DeliveryState(rapid.IntRange(2, 5).Draw(c.t, "how"))
		}
	}
	return command(d)
}

func (c *chaos) ticks() *logpb.Command {
	return command(&logpb.Tick{})
}

// operator is what happens rarely.
func (c *chaos) operator() *logpb.Command {
	switch rapid.IntRange(0, 8).Draw(c.t, "operator") {
	case 0:
		return command(&logpb.RemoveHost{Host: c.host(), By: "kim", Gone: c.yes("gone")})
	case 1:
		return command(&logpb.AdoptHost{Host: c.host(), By: "kim"})
	case 2:
		return command(&logpb.CloseBreaker{Service: c.service(), Rule: c.rule(), By: "kim", Host: c.pick("let", "", "h1")})
	case 3:
		c.n++
		return command(&logpb.Configure{By: "ctl-1", Config: &logpb.Config{
			Digest: fmt.Append(nil, c.n), Escalations: people()[:rapid.IntRange(0, 2).Draw(c.t, "ladders")],
			FleetMax: uint32(rapid.IntRange(0, 5).Draw(c.t, "fleet")), Services: []*logpb.Service{{
				Name: "web", Autonomy: c.pick("autonomy", "full", "observe"), Escalation: c.pick("escalation", "", "db"),
			}}}})
	case 4:
		h := c.s.Host(c.host())
		return command(&logpb.ConfirmStanding{
			Host: h.GetId(), Epoch: h.GetEpoch(), Generation: c.s.generation, Index: c.s.index})
	case 5:
		return command(&logpb.RecordChange{Change: &logpb.Change{Service: c.service(), Text: "v2"}})
	case 6:
		return command(&logpb.QuorumPage{Key: c.pick("key", "q1/0", "q2/0", ""), Notifiers: []string{"slack.ops"}})
	case 7:
		c.n++
		return command(&logpb.NewGeneration{Id: fmt.Sprint("gen ", c.n), Bootstrap: c.yes("bootstrap")})
	}
	return command(&logpb.SetFormat{Level: 1})
}

// rules is what people and hosts say of a bundle.
func (c *chaos) rules() *logpb.Command {
	b := c.s.Bundle("base")
	r := b.GetRollout()
	switch rapid.IntRange(0, 3).Draw(c.t, "rules") {
	case 0:
		c.n++
		push := pushOf(newestVersion(b).GetN(), c.pick("text", "down", "down slow", "down=2", fmt.Sprint("down=", c.n)))
		push.By, push.Bake, push.SameLabels = c.who(), c.length(), c.yes("same labels")
		push.Labels = []*logpb.Label{{Name: "zone", Value: c.pick("zone", "a", "b")}}[:rapid.IntRange(0, 1).Draw(c.t, "labels")]
		return command(push)
	case 1:
		return command(&logpb.RollbackBundle{Name: "base", Version: max(r.GetVersion(), b.GetCurrent()), By: c.who()})
	}
	h := c.s.Host(c.host())
	report := &logpb.ReportBundles{Host: h.GetId(), Epoch: h.GetEpoch()}
	for _, o := range c.s.StandingOrders(h.GetId()).GetBundles() {
		hb := &logpb.HostBundle{Name: o.GetName(), Wanted: o.GetDigest(), Running: o.GetDigest()}
		if c.rarely("refuses") {
			refuses(hb)
		}
		report.Bundles = append(report.Bundles, hb)
	}
	return command(report)
}

// twin is an entry as another replica reads it.
func twin(e *logpb.Entry) *logpb.Entry { return proto.CloneOf(e) }
