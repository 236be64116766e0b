package state

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

func TestStandingOrders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.configure(&logpb.Config{Escalations: people(), Windows: []*logpb.Window{{Name: "night"}}, Services: []*logpb.Service{
		{Name: "checkout", Autonomy: "full", PermitAlways: true, AloneAct: true}, {Name: "shop"}}})
	r.joins("postgres", nil, "db-1")
	r.joins("checkout", []string{"postgres"}, "web-1", "web-2")
	r.joins("other", nil, "web-3")
	all := r.must(pauses("all", hour)).GetId()
	mine := r.must(pauses("service:check*", 0)).GetId()
	unit := r.must(pauses("unit:x.service", hour)).GetId()
	r.must(pauses("host:web-2", hour))
	r.must(r.resumes(all))
	r.fires("web-1", "checkout", "down")
	i := r.incident("checkout")
	r.handsOver("web-1", "checkout", "spent")
	r.acks(i, true)
	r.fires("db-1", "postgres", "slow")

	from := r.s.pauses[mine].GetFrom()
	pause := func(id, scope string, mod func(*logpb.Pause)) *logpb.Pause {
		p := &logpb.Pause{Id: id, Scope: scope, By: "kim", Reason: "maintenance", From: from, Index: r.s.pauses[id].GetIndex()}
		mod(p)
		return p
	}
	want := &agentpb.Standing{
		Generation: r.s.generation, Index: r.index,
		Pauses: []*logpb.Pause{
			pause(mine, "service:checkout", func(p *logpb.Pause) { p.Reminds = from + day }),
			pause(unit, "unit:x.service", func(p *logpb.Pause) { p.Until = from + hour }),
		},
		Windows: []*logpb.Window{{Name: "night"}},
		Incidents: []*agentpb.IncidentOrder{
			{Local: "local checkout of web-1", Incident: i.GetId(), AckBy: "kim", KeepHealing: true, Escalated: true}},
		Services: []*agentpb.ServiceOrder{
			{Service: "checkout", Autonomy: "full", PermitAlways: true, AloneAct: true, Incident: true, Detection: 2 * second},
			{Service: "postgres", Incident: true, Detection: 2 * second},
		},
	}
	if diff := cmp.Diff(want, r.s.StandingOrders("web-1"), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !r.s.StandingOrders("db-1").GetServices()[0].GetSole() {
		t.Error("db-1 does not know that it is the only one")
	}
	if got := r.s.StandingOrders("nobody"); len(got.GetPauses()) != 0 || got.GetGeneration() != r.s.generation {
		t.Errorf("nobody knows %v", got)
	}
}

// Whenever the orders of a host change, its version does, so that they are pushed.
func TestStandingVersionMoves(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("postgres", nil, "db-1")
	r.joins("checkout", []string{"postgres"}, "web-1", "web-2", "web-3")
	hosts := []string{"db-1", "web-1", "web-2", "web-3"}
	orders, versions := map[string]*agentpb.Standing{}, map[string]uint64{}
	quiet := 0
	look := func(after string) {
		for _, h := range hosts {
			now := r.s.StandingOrders(h)
			now.Index = 0
			changed := cmp.Diff(orders[h], now, protocmp.Transform())
			switch same := versions[h] == r.s.StandingVersion(h); {
			case orders[h] != nil && changed != "" && same:
				t.Errorf("after %s the orders of %s are others and their version is not:\n%s", after, h, changed)
			case same:
				quiet++
			}
			if r.s.StandingVersion(h) > r.s.Standing() {
				t.Errorf("after %s the version of %s is beyond that of the state", after, h)
			}
			orders[h], versions[h] = now, r.s.StandingVersion(h)
		}
	}
	look("the beginning")
	n := r.fires("web-1", "checkout", "down")
	look("an alert")
	i := r.incident("checkout")
	r.tells("web-1", "local checkout of web-1", "decide", "nothing")
	look("a line")
	r.handsOver("web-1", "checkout", "spent")
	look("escalation")
	r.denies(r.s.DeliveriesDue()[0])
	look("a refusal")
	r.denies(r.s.DeliveriesDue()[0])
	look("a refusal by the last")
	if o := r.s.StandingOrders("web-1").GetIncidents()[0]; o.GetEscalated() {
		t.Error("nobody was told, and the agent believes that the controller tells them")
	}
	r.says("web-1", &logpb.Event{What: &logpb.Event_Page{Page: &logpb.LocalPage{
		Local: "local checkout of web-1", Key: "L/0/0", Notifiers: []string{"email.me"}}}})
	look("a page of the agent's own")
	r.acks(i, false)
	look("an acknowledgement")
	r.must(releases(i))
	look("a release")
	db := r.fires("db-1", "postgres", "down")
	look("a merge")
	r.fires("web-2", "checkout", "slow")
	look("another host's alert")
	r.clears("db-1", db, true)
	look("the end of the cause")
	r.clears("web-1", n, true)
	look("the end of an alert")
	g := r.granted("web-1", "checkout")
	look("a permit")
	r.must(command(&logpb.Revoke{Token: g.GetToken(), By: "kim"}))
	look("a revocation")
	r.settle("web-1", g, logpb.Settlement_SETTLEMENT_UNUSED)
	look("a settlement")
	r.must(resolves(r.incident("postgres")))
	look("a person's end of it")
	r.clears("web-2", 1, false)
	look("the agent's end of it")
	for _, h := range hosts[1:] {
		r.fires(h, "checkout", "slow")
	}
	look("a breaker")
	r.must(closes("checkout", "slow", "web-1"))
	look("a breaker that lets one through")
	r.granted("web-1", "checkout")
	look("its use")
	r.later(day)
	look("a day")
	r.joins("postgres", nil, "db-2")
	look("a second host")
	r.joins("cache", nil, "web-9")
	look("a service that nobody depends on")
	r.joins("checkout", []string{"cache"}, "web-8")
	look("another dependency")
	c := r.greet("web-9", "cache")
	c.GetHello().Services[0].Detection = minute
	r.must(c)
	look("a slower rule")
	if quiet < 25 {
		t.Errorf("only %d times nothing had to be pushed", quiet)
	}
}
