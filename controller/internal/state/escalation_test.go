package state

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

// Whatever is being done: after its time an incident is handed to people, and climbs until one has it.
func TestClimb(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2", "web-3")
	r.fires("web-1", "checkout", "down", patience(2*minute))
	r.fires("web-2", "checkout", "slow")
	r.later(2*minute - second)
	r.sent()
	r.later(second)
	r.sent("trigger checkout/0/0 slack.ops")
	r.later(5*minute - second)
	r.sent()
	r.later(second)
	r.sent("trigger checkout/1/0 pagerduty.payments")
	r.later(5 * minute)
	r.sent("reminder checkout/1/1 pagerduty.payments")
	r.later(day)
	r.sent()
	i := r.incident("checkout")
	r.wrote(i, "escalate: handed to people (default): open for 2m0s")
	r.wrote(i, "escalate: step 2 of 2: telling pagerduty.payments again (1 of 1)")
	r.wrote(i, "notify: pagerduty.payments was told")
	r.must(resolves(i))
	r.sent("resolve checkout/resolved pagerduty.payments", "resolve checkout/resolved slack.ops")
}

// What cleared in time is nobody's business.
func TestClearedInTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	n := r.fires("web-1", "checkout", "down")
	r.later(4 * minute)
	r.clears("web-1", n, true)
	r.later(day)
	r.sent()
}

func TestAcknowledgeStopsTheClimb(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2", "web-3")
	r.fires("web-1", "checkout", "down")
	r.handsOver("web-1", "checkout", "every candidate is spent")
	i := r.incident("checkout")
	r.wrote(i, "web-1: every candidate is spent")
	r.sent("trigger checkout/0/0 slack.ops")
	about := func(q *logpb.Request) { q.Incident = "local checkout of web-1" }
	r.acks(i, false)
	refusal := r.refused("acknowledged", "web-1", "checkout", about)
	if !strings.Contains(refusal.GetText(), "kim has incident") {
		t.Errorf("the refusal says %q", refusal.GetText())
	}
	r.refused("acknowledged", "web-2", "checkout") // its own alert is still on its way
	for _, mod := range []func(*logpb.Request){
		func(q *logpb.Request) { q.By = "kim" }, func(q *logpb.Request) { q.Undo = true },
	} {
		r.settle("web-1", r.granted("web-1", "checkout", about, mod), logpb.Settlement_SETTLEMENT_UNUSED)
	}
	o := r.s.StandingOrders("web-1").GetIncidents()[0]
	if o.GetAckBy() != "kim" || o.GetKeepHealing() || !o.GetEscalated() {
		t.Errorf("web-1 knows %v", o)
	}
	r.later(day)
	r.sent()

	r.acks(i, true)
	r.settle("web-1", r.granted("web-1", "checkout", about), logpb.Settlement_SETTLEMENT_UNUSED)

	r.must(releases(i))
	if o := r.s.StandingOrders("web-1").GetIncidents()[0]; o.GetAckBy() != "" || o.GetReleased() != r.at {
		t.Errorf("web-1 knows %v", o)
	}
	r.sent("trigger checkout/1/0 pagerduty.payments") // the climb goes on
	r.granted("web-1", "checkout", about)
	if got := r.audited("kim"); !slices.Equal(got, []string{"acknowledge", "acknowledge", "release"}) {
		t.Errorf("audit: %v", got)
	}
}

// audited are the acts of a person.
func (r *rig) audited(by string) []string {
	var out []string
	for _, a := range r.s.Audit(0, 10_000) {
		if a.GetBy() == by {
			out = append(out, a.GetWhat())
		}
	}
	return out
}

// A person had it before anybody was told. Handed back, it gets its time anew.
func TestReleaseBeforeAnybodyWasTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	r.fires("web-1", "checkout", "down")
	i := r.incident("checkout")
	r.acks(i, false)
	r.later(day)
	r.must(releases(i))
	r.later(5*minute - second)
	r.sent()
	r.later(second)
	r.sent("trigger checkout/0/0 slack.ops")
}

func TestPeopleAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	n := r.fires("web-1", "checkout", "down")
	i := r.incident("checkout")
	none := &logpb.Incident{Id: "nothing"}
	r.code("state", r.apply(releases(i)))
	r.code("incident", r.apply(releases(none)))
	r.code("incident", r.apply(resolves(none)))
	r.code("incident", r.apply(command(&logpb.Acknowledge{Incident: "x", By: "kim"})))
	r.code("who", r.apply(command(&logpb.Acknowledge{Incident: i.GetId()})))
	r.code("who", r.apply(command(&logpb.Release{Incident: i.GetId()})))
	r.code("who", r.apply(command(&logpb.ResolveIncident{Incident: i.GetId()})))
	r.clears("web-1", n, false)
	r.code("ended", r.apply(releases(i)))
	r.code("ended", r.apply(resolves(i)))
	r.code("ended", r.apply(command(&logpb.Acknowledge{Incident: i.GetId(), By: "kim"})))
}

// A person ends what still fires: its agents hear of it, until they say so themselves.
func TestPersonResolves(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2", "web-3")
	n := r.fires("web-1", "checkout", "down")
	r.later(5 * minute)
	r.sent("trigger checkout/0/0 slack.ops")
	r.must(resolves(r.incident("checkout")))
	r.sees("checkout resolved: [down@web-1]")
	r.sent("resolve checkout/resolved slack.ops")
	if o := r.s.StandingOrders("web-1").GetIncidents(); len(o) != 1 || !o[0].GetResolved() {
		t.Errorf("web-1 knows %v", o)
	}
	r.tells("web-1", "local checkout of web-1", "person", "kim ended it")
	r.wrote(r.incident("checkout"), "kim ended it")
	r.clears("web-1", n, false)
	if o := r.s.StandingOrders("web-1").GetIncidents(); len(o) != 0 {
		t.Errorf("web-1 knows %v", o)
	}
}

// The gravest alert says who is told, then the service, then there is a default. What is missing is told.
func TestWhichEscalation(t *testing.T) {
	t.Parallel()
	db := []string{"trigger checkout/0/0 email.boss", "trigger checkout/0/0 email.dba", "trigger checkout/1/0 slack.ops"}
	named := func(name string) *logpb.Service { return &logpb.Service{Name: "checkout", Escalation: name} }
	for _, c := range []struct {
		name     string
		config   *logpb.Config
		alerts   []string
		want     []string
		warning  string
		timeline string
	}{
		{"default", &logpb.Config{Escalations: people()}, []string{""}, []string{"trigger checkout/0/0 slack.ops"}, "", ""},
		{"the rule's", &logpb.Config{Escalations: people(), Services: []*logpb.Service{named("default")}}, []string{"db"},
			db, "", ""},
		{"the service's", &logpb.Config{Escalations: people(), Services: []*logpb.Service{named("db")}}, []string{""},
			db, "", ""},
		{"the gravest alert's", &logpb.Config{Escalations: people()}, []string{"default", "db"},
			db, "", ""},
		{"missing", &logpb.Config{Escalations: people()}, []string{"night shift"},
			[]string{"trigger checkout/0/0 slack.ops"}, "", `THERE IS NO ESCALATION "night shift"`},
		{"a service's missing", &logpb.Config{Escalations: people(), Services: []*logpb.Service{named("nobody")}},
			[]string{""}, []string{"trigger checkout/0/0 slack.ops"},
			`service checkout names the escalation "nobody"`, `NO ESCALATION "nobody"`},
		{"none at all", &logpb.Config{}, []string{""}, nil,
			"(checkout: rule 0 on web-1) is handed to people, and nobody could be told",
			"NOBODY IS TOLD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.configure(c.config)
			r.joins("checkout", nil, "web-1", "web-2", "web-3")
			for n, to := range c.alerts {
				grave := []string{"warning", "critical"}[n]
				r.fires("web-1", "checkout", fmt.Sprint("rule ", n), escalates(to), severity(grave))
			}
			r.later(5 * minute)
			r.sent(c.want...)
			if c.timeline != "" {
				r.wrote(r.incident("checkout"), c.timeline)
			}
			if all := strings.Join(r.s.Warnings(), "\n"); c.warning != "" && !strings.Contains(all, c.warning) {
				t.Errorf("warnings:\n%s", all)
			}
			for _, o := range r.s.StandingOrders("web-1").GetIncidents() {
				if o.GetEscalated() != (len(c.want) > 0) { // else the agent tells people itself
					t.Errorf("web-1 knows %v", o)
				}
			}
		})
	}
}

// A ladder that comes with a later configuration is climbed.
func TestEscalationComesLater(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.configure(&logpb.Config{})
	r.joins("checkout", nil, "web-1")
	r.fires("web-1", "checkout", "down")
	r.later(hour)
	r.sent()
	r.configure(&logpb.Config{Escalations: people()})
	r.later(0)
	r.sent("trigger checkout/0/0 slack.ops")
}

// An agent's wish for people about what has ended, or what a person has, tells nobody.
func TestHandOverOfWhatIsOver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	n := r.fires("web-1", "checkout", "down")
	r.acks(r.incident("checkout"), false)
	r.handsOver("web-1", "checkout", "spent")
	r.sent()
	r.clears("web-1", n, false)
	r.handsOver("web-1", "checkout", "spent")
	r.handsOver("web-1", "nothing", "spent")
	r.later(day)
	r.sent()
}
