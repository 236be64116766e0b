package state

import (
	"fmt"
	"strings"
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

// TestEventNumberReused: a number of the stream is entered once, whatever is sent under it again; under
// another stream it is another event.
func TestEventNumberReused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	r.fires("web-1", "checkout", "down")
	r.journal["web-1"] = 0
	r.fires("web-1", "checkout", "another")
	r.sees("checkout open: down@web-1")

	c := r.greet("web-1", "checkout")
	c.GetHello().Stream, c.GetHello().LastEvent = "a new journal", 0
	r.epoch["web-1"] = r.must(c).GetWelcome().GetEpoch()
	r.journal["web-1"] = 0
	r.fires("web-1", "checkout", "another")
	r.sees("checkout open: down@web-1 another@web-1")
	if len(r.s.alerts) != 2 {
		t.Errorf("%d alerts", len(r.s.alerts))
	}
	// What the new journal tells anew ends under its old number.
	n := r.fires("web-1", "checkout", "down")
	r.sees("checkout open: [down@web-1] another@web-1 down@web-1")
	r.clears("web-1", n, false)
	r.clears("web-1", 1, false)
	r.sees("checkout resolved: [down@web-1] [another@web-1] [down@web-1]")
}

func TestEventsComeWithoutGaps(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	send := func(epoch uint64, stream string, numbers ...uint64) *logpb.Result {
		c := &logpb.Events{Host: "web-1", Epoch: epoch, Stream: stream}
		for _, n := range numbers {
			c.Event = append(c.Event, &logpb.Event{N: n, What: &logpb.Event_Fired{
				Fired: &logpb.Alert{Service: "checkout", Rule: fmt.Sprint("rule ", n)}}})
		}
		return r.apply(command(c))
	}
	epoch := r.epoch["web-1"]
	for _, c := range []struct {
		refused string
		epoch   uint64
		stream  string
		numbers []uint64
		mark    uint64
	}{
		{"gap", epoch, "stream of web-1", []uint64{2}, 0},
		{"gap", epoch, "stream of web-1", []uint64{0}, 0},
		{"gap", epoch, "stream of web-1", []uint64{1, 3}, 0}, // all or nothing
		{"", epoch, "stream of web-1", []uint64{1, 2}, 2},
		{"", epoch, "stream of web-1", []uint64{1, 2, 3}, 3},
		{"", epoch, "stream of web-1", nil, 3},
		{"", epoch, "stream of web-1", []uint64{2, 1}, 3},
		{"epoch", epoch - 1, "stream of web-1", []uint64{4}, 3},
		{"epoch", epoch + 1, "stream of web-1", []uint64{4}, 3},
		{"stream", epoch, "another", []uint64{4}, 3},
	} {
		refusal := send(c.epoch, c.stream, c.numbers...).GetRefusal()
		if refusal.GetCode() != c.refused || r.s.Host("web-1").GetMark() != c.mark || len(r.s.alerts) != int(c.mark) {
			t.Errorf("%v: %v, mark %d", c.numbers, refusal, r.s.Host("web-1").GetMark())
		}
		if want := fmt.Sprint(c.mark + 1); c.refused == "gap" && refusal.GetHolders()[0] != want {
			t.Errorf("%v: the number wanted is %v, not %s", c.numbers, refusal.GetHolders(), want)
		}
	}
	r.lose("web-1", true)
	r.code("", send(epoch, "stream of web-1", 4)) // who is lost is heard all the same
	r.s.hosts["web-1"].Quarantined = "two of them"
	r.code("quarantined", send(epoch, "stream of web-1", 5))
	r.s.hosts["web-1"].Quarantined, r.s.hosts["web-1"].Awaited = "", true
	r.code("awaited", send(epoch, "stream of web-1", 5))
	r.s.hosts["web-1"].Awaited = false
	r.must(command(&logpb.RemoveHost{Host: "web-1", By: "kim", Gone: true}))
	r.code("removed", send(epoch, "stream of web-1", 5))
}

// A host can neither fill the state with what it says, nor with how much.
func TestAlertsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	long := strings.Repeat("ä", 5000)
	r.fires("web-1", "checkout", long, func(a *logpb.Alert) {
		a.Condition, a.Local, a.Severity, a.EscalateAfter = long, long, "apocalyptic", -5
		for range 100 {
			a.Values = append(a.Values, long)
		}
	})
	a := r.s.AlertsOf(r.incident("checkout").GetId())[0]
	if len(a.GetRule()) > maxName || len(a.GetCondition()) > maxText || len(a.GetValues()) != maxValues ||
		a.GetSeverity() != "warning" || a.GetEscalateAfter() != 0 {
		t.Errorf("kept: %v", a)
	}
	var events []*logpb.Event
	for n := range 1500 {
		events = append(events, &logpb.Event{N: uint64(n + 2), What: &logpb.Event_Fired{
			Fired: &logpb.Alert{Service: "checkout", Rule: "down", Instance: fmt.Sprint(n)}}})
	}
	r.events("web-1", events...)
	i := r.incident("checkout")
	if len(r.s.alerts) != maxFiring || i.GetForgotten() != 501 || len(i.GetTimeline()) != 1000 || i.GetDropped() != 501 {
		t.Errorf("%d alerts, %d forgotten, %d lines, %d dropped", len(r.s.alerts), i.GetForgotten(), len(i.GetTimeline()),
			i.GetDropped())
	}
	events = nil
	for n := range 900 {
		events = append(events, &logpb.Event{N: uint64(n + 1502), What: &logpb.Event_Resolved{
			Resolved: &logpb.AlertEnd{Key: &logpb.AlertKey{Stream: "stream of web-1", N: uint64(n + 1)}}}})
	}
	r.events("web-1", events...)
	if n := len(r.s.AlertsOf(i.GetId())); n > 100+150 || n < 200 {
		t.Errorf("%d alerts are kept, 100 fire", n)
	}
}

// TestMassAction: one wrong signal on most of the hosts. Nobody acts on it, and people hear of it at once.
func TestMassAction(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 10 {
		r.joins("web", nil, host(n))
	}
	for n := range 3 {
		r.fires(host(n), "web", "slow")
	}
	i := r.incident("web")
	if !i.GetCommonCause() || i.GetState() != logpb.IncidentState_INCIDENT_STATE_ESCALATED {
		t.Fatalf("the incident is %v", i)
	}
	r.sent("trigger web/0/0 slack.ops")
	for n := range 10 {
		r.refused("breaker", host(n), "web")
		if b := r.s.StandingOrders(host(n)).GetBreakers(); len(b) != 1 || b[0].GetIncident() != i.GetId() {
			t.Errorf("%s knows %v", host(n), b)
		}
	}
}

// Hosts have incidents of their own, until it turns out that they share a cause.
func TestCommonCauseOfHosts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.configure(&logpb.Config{Escalations: people(), BreakerWindow: 20 * minute})
	for n := range 10 {
		r.joins("web", nil, host(n))
	}
	for n := range 3 {
		r.fires(host(n), "", "disk-full")
		r.later(6 * minute)
	}
	r.sees("disk-full escalated: disk-full@h00 disk-full@h01 disk-full@h02")
	if got := r.incident("").GetTitle(); got != "disk-full on 3 hosts at once" {
		t.Errorf("it is called %q", got)
	}
}

// TestBreakerReplaysThePast: a breaker that closes after days sets nothing off, and what comes later finds
// fresh facts.
func TestBreakerReplaysThePast(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 10 {
		r.joins("web", nil, host(n))
	}
	var fired []uint64
	for n := range 4 {
		fired = append(fired, r.fires(host(n), "web", "slow"))
		r.refusedOrGranted(host(n), "web")
	}
	r.later(3 * day)
	for n := range 3 {
		r.clears(host(n), fired[n], false)
	}
	permits := len(r.s.Permits())
	r.later(breakerWindow)
	if len(r.s.Breakers()) != 0 || len(r.s.Permits()) != permits {
		t.Errorf("breakers %v, permits %v", r.s.Breakers(), r.s.Permits())
	}
	r.sees("web escalated: [slow@h00] [slow@h01] [slow@h02] slow@h03")
}

// refusedOrGranted asks and gives back what it gets.
func (r *rig) refusedOrGranted(host, service string) {
	r.t.Helper()
	if g := r.apply(r.ask(host, service)).GetGrant(); g != nil {
		r.settle(host, g, logpb.Settlement_SETTLEMENT_UNUSED)
	}
}

// TestBreakerBlocksRecovery: an open breaker stops neither undo nor the start of what is dead, and what was
// verified no longer counts for it.
func TestBreakerBlocksRecovery(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 10 {
		r.joins("web", nil, host(n))
	}
	var fired []uint64
	for n := range 3 {
		fired = append(fired, r.fires(host(n), "web", "slow"))
	}
	r.refused("breaker", host(0), "web")
	g := r.granted(host(0), "web", func(q *logpb.Request) { q.Undo = true })
	r.settle(host(0), g, logpb.Settlement_SETTLEMENT_SERVING)
	g = r.granted(host(1), "web", func(q *logpb.Request) { q.StartDead = true })
	r.settle(host(1), g, logpb.Settlement_SETTLEMENT_SERVING)
	r.clears(host(1), fired[1], true)
	r.clears(host(2), fired[2], true)
	r.later(breakerWindow)
	r.granted(host(0), "web")
}

// A host that says nothing any more is an alert of the controller's own.
func TestLostHost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2")
	r.hello("idle")
	r.lose("web-1", true)
	r.lose("idle", true)
	r.sees("host-lost open: host-lost@web-1")
	if title := r.incident("").GetTitle(); title != "host web-1 is lost" {
		t.Errorf("it is called %q", title)
	}
	r.later(minute)
	r.lose("web-1", false)
	r.sees("host-lost resolved: [host-lost@web-1]")
	r.later(10 * minute)
	r.sent() // it was short
	r.lose("web-1", true)
	r.later(5*minute + second)
	r.sent("trigger host-lost/0/0 slack.ops")
	r.joins("checkout", nil, "web-1") // a hello is a round trip
	r.sees("host-lost resolved: [host-lost@web-1]", "host-lost resolved: [host-lost@web-1]")
	r.sent("resolve host-lost/resolved slack.ops")
}

func TestRemovedHost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2")
	r.fires("web-1", "checkout", "down")
	r.later(second)
	r.lose("web-1", true)
	r.must(command(&logpb.RemoveHost{Host: "web-1", By: "kim", Gone: true}))
	r.sees("checkout resolved: [down@web-1]", "host-lost resolved: [host-lost@web-1]")
	if h := r.s.Host("web-1"); len(h.GetServices()) != 0 || !h.GetRemoved() {
		t.Errorf("%v is left of it", h)
	}
}

// A permit that does not end in time, or whose outcome cannot be told, is told to people at once.
func TestPermitsThatDoNotEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2")
	n := r.fires("web-1", "checkout", "slow")
	g := r.granted("web-1", "checkout", func(q *logpb.Request) { q.Incident = "local checkout of web-1" })
	i := r.incident("checkout")
	if i.GetState() != logpb.IncidentState_INCIDENT_STATE_HEALING {
		t.Errorf("it is %s while a remedy runs", i.GetState())
	}
	r.wrote(i, "permit: permit 1@11111111 for restart-app on web-1")
	r.later(startBy + runFor - second)
	r.wrote(i, "escalate: handed to people (default): open for 5m0s")
	r.sent("trigger checkout/0/0 slack.ops")
	r.later(second)
	r.wrote(i, "now also: permit 1@11111111 of web-1: restart-app should have ended")
	r.clears("web-1", n, false)
	r.sees("checkout escalated: [slow@web-1] permit-overdue@web-1") // it counts on, so the story does, too
	r.settle("web-1", g, logpb.Settlement_SETTLEMENT_UNKNOWN)
	r.sees("checkout escalated: [slow@web-1] permit-overdue@web-1 permit-unknown@web-1")
	r.settle("web-1", g, logpb.Settlement_SETTLEMENT_CLEARED, serving("checkout"))
	r.sees("checkout resolved: [slow@web-1] [permit-overdue@web-1] [permit-unknown@web-1]")
	r.sent("resolve checkout/resolved slack.ops")
}

// What cannot be known is told to people and stops nothing.
func TestBlindAlerts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 10 {
		r.joins("web", nil, host(n))
	}
	var fired []uint64
	for n := range 5 {
		fired = append(fired, r.fires(host(n), "web", "slow", blind))
	}
	if len(r.s.Breakers()) != 0 {
		t.Errorf("breakers: %v", r.s.Breakers())
	}
	r.wrote(r.incident("web"), "slow fires blind: whether it holds cannot be known")
	r.later(5 * minute)
	r.sent("trigger web/0/0 slack.ops")
	for n := range 5 {
		r.clears(host(n), fired[n], false)
	}
	r.sent("resolve web/resolved slack.ops")
}

// A service of which one host is left has no breaker.
func TestBreakerOfAShrunkService(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("web", nil, "h1", "h2")
	r.fires("h1", "web", "slow")
	r.fires("h2", "web", "slow")
	r.refused("breaker", "h1", "web")
	r.must(command(&logpb.RemoveHost{Host: "h2", By: "kim", Gone: true}))
	r.later(0)
	r.granted("h1", "web")
}

// What was many hosts is few once there are more: the breaker becomes calm without another alert.
func TestBreakerOfAGrownService(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 10 {
		r.joins("web", nil, host(n))
	}
	for n := range 3 {
		r.fires(host(n), "web", "slow")
	}
	r.later(hour)
	if len(r.s.Breakers()) != 1 {
		t.Fatal("it closed by itself")
	}
	var more []string
	for n := range 30 {
		more = append(more, host(10+n))
	}
	r.joins("web", nil, more...)
	r.later(breakerWindow - second)
	if len(r.s.Breakers()) != 1 {
		t.Error("it closed too soon")
	}
	r.later(second)
	if len(r.s.Breakers()) != 0 {
		t.Error("it stays open")
	}
}

// A person ended it, and then its host was removed: nobody is left who has to hear of that.
func TestRemovedAfterAPersonEndedIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("web", nil, "h1")
	r.fires("h1", "web", "slow")
	r.must(resolves(r.incident("web")))
	r.must(command(&logpb.RemoveHost{Host: "h1", By: "kim", Gone: true}))
	if len(r.s.derived.live) != 0 {
		t.Errorf("left: %v", r.s.derived.live)
	}
}

// Permits that do not end are no fault of the service: they open no breaker and mute nobody.
func TestPermitsThatDoNotEndStopNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("shop", []string{"web"}, "s1")
	for n := range 10 {
		r.joins("web", nil, host(n))
	}
	r.configure(&logpb.Config{Escalations: people(), Services: []*logpb.Service{service("web", 9)}, FleetMax: 10})
	for n := range 4 {
		g := r.granted(host(n), "web", func(q *logpb.Request) { q.Digest = []byte(host(n)) })
		r.settle(host(n), g, logpb.Settlement_SETTLEMENT_UNKNOWN)
	}
	r.fires("s1", "shop", "slow")
	r.sees("web escalated: permit-unknown@h00 permit-unknown@h01 permit-unknown@h02 permit-unknown@h03", "shop open: slow@s1")
	if b := r.s.Breakers(); len(b) != 0 {
		t.Errorf("breakers: %v", b)
	}
}
