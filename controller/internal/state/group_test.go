package state

import (
	"fmt"
	"strings"
	"testing"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// TestSameIncidentTwoHosts: two hosts have the same trouble with a service. It is one story, and an agent that
// cannot be reached knows its name.
func TestSameIncidentTwoHosts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2", "web-3")
	n := r.fires("web-1", "checkout", "down")
	r.fires("web-2", "checkout", "down", severity("critical"))
	r.fires("web-2", "checkout", "slow")
	r.sees("checkout open: down@web-1 down@web-2 slow@web-2")
	i := r.incident("checkout")
	want := incident.ID(r.s.generation, incident.AlertKey{Host: "web-1", Stream: "stream of web-1", N: n})
	if i.GetId() != want || i.GetSeverity() != "critical" {
		t.Errorf("the incident is %s, %s; an agent computes %s", i.GetId(), i.GetSeverity(), want)
	}
	for _, host := range []string{"web-1", "web-2"} {
		if o := r.s.StandingOrders(host).GetIncidents(); len(o) != 1 || o[0].GetIncident() != i.GetId() ||
			o[0].GetLocal() != "local checkout of "+host {
			t.Errorf("%s knows %v", host, o)
		}
	}
	r.clears("web-1", n, true)
	r.sees("checkout open: [down@web-1] down@web-2 slow@web-2")
}

// What fires after the end is another incident.
func TestNothingIsReopened(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	r.clears("web-1", r.fires("web-1", "checkout", "down"), true)
	r.clears("web-1", r.fires("web-1", "checkout", "down"), false)
	r.fires("web-1", "checkout", "down")
	r.sees("checkout resolved: [down@web-1]", "checkout resolved: [down@web-1]", "checkout open: down@web-1")
	ends := r.s.Incidents()
	if !strings.Contains(ends[2].GetEnd(), "healed") || !strings.Contains(ends[1].GetEnd(), "by itself") {
		t.Errorf("they ended: %q, %q", ends[2].GetEnd(), ends[1].GetEnd())
	}
}

func TestDependentsAreMuted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("postgres", nil, "db-1")
	r.joins("checkout", []string{"postgres"}, "web-1", "web-2")
	r.joins("shop", []string{"checkout"}, "web-3")
	r.joins("other", nil, "web-4")
	db := r.fires("db-1", "postgres", "down")
	r.later(10 * minute)
	r.fires("web-3", "shop", "slow", severity("critical"))
	web := r.fires("web-1", "checkout", "slow")
	r.fires("web-4", "other", "slow")
	r.sees("postgres escalated: down@db-1 slow@web-3(postgres) slow@web-1(postgres)", "other open: slow@web-4")
	for _, o := range r.s.StandingOrders("web-2").GetServices() {
		if !o.GetIncident() { // of checkout, which is muted, and of postgres, which mutes it
			t.Errorf("web-2 does not know that %s has an incident", o.GetService())
		}
	}

	r.clears("db-1", db, true) // what still fires is no longer muted, but by what it depends on itself
	r.sees("postgres escalated: [down@db-1] slow@web-3(checkout) slow@web-1", "other open: slow@web-4")
	r.wrote(r.incident("postgres"), "postgres is well again")
	r.fires("web-2", "checkout", "slow")
	r.clears("web-1", web, false)
	r.sees("postgres escalated: [down@db-1] slow@web-3(checkout) [slow@web-1] slow@web-2", "other open: slow@web-4")
}

// TestChildBeforeParent: what depends on a service notices its fault first, on other hosts. When the cause is
// known it is one story, and people hear of it once.
func TestChildBeforeParent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("postgres", nil, "db-1")
	r.joins("checkout", []string{"postgres"}, "web-1", "web-2")
	r.joins("shop", []string{"checkout"}, "web-3")
	shop := r.fires("web-3", "shop", "slow")
	r.handsOver("web-3", "shop", "spent")
	r.sent("trigger shop/0/0 slack.ops")
	old := r.incident("shop")
	r.fires("web-1", "checkout", "slow", severity("critical"))
	r.sees("checkout escalated: slow@web-3(checkout) slow@web-1")
	db := r.fires("db-1", "postgres", "down")
	r.sees("postgres escalated: slow@web-3(checkout) slow@web-1(postgres) down@db-1")
	r.sent()
	i := r.incident("postgres")
	if r.s.Incident(old.GetId()) != i || i.GetSeverity() != "critical" {
		t.Errorf("%s is %v", old.GetId(), r.s.Incident(old.GetId()))
	}
	r.wrote(i, "is part of this one")
	r.wrote(i, "shop")

	r.later(5 * minute)
	r.sent("trigger postgres/1/0 pagerduty.payments") // the climb goes on where it stood
	r.clears("web-3", shop, false)
	r.clears("web-1", 1, false)
	r.clears("db-1", db, true)
	r.sent("resolve postgres/resolved pagerduty.payments", "resolve merged/resolved slack.ops")
}

// Two long stories become one that is no longer than one.
func TestMergeIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("postgres", nil, "db-1")
	r.joins("checkout", []string{"postgres"}, "web-1")
	r.fires("web-1", "checkout", "slow")
	for n := range 990 {
		r.tells("web-1", "local checkout of web-1", "decide", fmt.Sprint("line ", n))
	}
	r.later(second)
	old := r.incident("checkout")
	old.Dropped, old.Forgotten = 7, 5
	for range 20 {
		r.must(command(&logpb.RecordChange{Change: &logpb.Change{Service: "postgres", Text: "v2"}}))
	}
	r.fires("db-1", "postgres", "down")
	i := r.incident("postgres")
	if len(i.GetTimeline()) != 1000 || i.GetDropped() != 7+13 || i.GetForgotten() != 5 {
		t.Errorf("%d lines, %d dropped, %d forgotten", len(i.GetTimeline()), i.GetDropped(), i.GetForgotten())
	}
}

// What a person has stays theirs, and what began long before has another cause.
func TestWhatIsNotTakenIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("postgres", nil, "db-1")
	r.joins("checkout", []string{"postgres"}, "web-1", "web-2")
	r.joins("checkout", []string{"postgres"}, "web-4")
	r.joins("shop", []string{"postgres"}, "web-3")
	r.fires("web-3", "shop", "slow")
	r.later(6 * minute)
	r.fires("web-1", "checkout", "slow")
	r.acks(r.incident("checkout"), false)
	r.fires("db-1", "postgres", "down")
	r.fires("web-2", "checkout", "slow")
	r.sees("shop escalated: slow@web-3", "checkout acknowledged: slow@web-1 slow@web-2(postgres)",
		"postgres open: down@db-1")
}

// Rules about hosts: at one time one story, else one a host.
func TestHostRules(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2", "web-3", "web-4", "web-5")
	r.fires("web-1", "", "disk-full", instance("/var"))
	r.later(4 * minute)
	r.fires("web-2", "", "disk-full")
	r.fires("web-2", "", "oom")
	r.later(2 * minute)
	r.fires("web-3", "", "disk-full")
	r.fires("web-1", "", "disk-full", instance("/tmp"))
	r.sees("disk-full escalated: disk-full@web-1 disk-full@web-2 disk-full@web-1", "oom open: oom@web-2",
		"disk-full open: disk-full@web-3")
}

func TestIncidentNameTaken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	k := &logpb.AlertKey{Host: "web-1", Stream: "s", N: 1}
	first := r.s.incidentID(k)
	r.s.incidents[first] = &logpb.Incident{Id: first, State: logpb.IncidentState_INCIDENT_STATE_RESOLVED}
	if again := r.s.incidentID(k); again == first {
		t.Error("two incidents have one name")
	}
}
