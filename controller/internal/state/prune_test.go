package state

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/logpb"
)

// Half a year of a fleet in which something happens all the time leaves a snapshot as big as that of a month.
func TestSnapshotStaysFlat(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.configure(&logpb.Config{Escalations: people(), FleetMax: 50})
	var hosts []string
	for n := range 20 {
		hosts = append(hosts, host(n))
	}
	r.joins("web", nil, hosts...)
	r.quick = true
	for n := range maxAudit { // what only counts bound is full from the beginning
		r.s.note("kim", "pause", "the act number %d, of which there have been many before", n)
		r.must(command(&logpb.RecordChange{Change: &logpb.Change{
			Service: "web", Text: "release 0"}}))
	}
	var sizes []int
	for d := range 180 {
		r.aDay(d, hosts)
		if d%30 == 29 {
			sizes = append(sizes, proto.Size(r.s.Snapshot()))
		}
	}
	for n, size := range sizes {
		if size > sizes[0]*105/100 || size < sizes[0]*90/100 {
			t.Errorf("after month %d a snapshot has %d bytes, after the first it had %d: %v", n+1, size, sizes[0], sizes)
		}
	}
	if n := len(r.s.Incidents()); n < 30*11 || n > 31*11 {
		t.Errorf("%d incidents are kept", n)
	}
	if n := len(r.s.widths); n > 35 {
		t.Errorf("%d widths are kept", n)
	}
	if n := len(r.s.deliveries); n > 5*keepEnded {
		t.Errorf("%d messages are kept", n)
	}
	if n := len(r.s.hosts); n != 20 {
		t.Errorf("%d hosts", n)
	}
	sound(t, r.s)
}

// aDay has ten short troubles, one that people hear of, a release with a remedy of its own, a merge, a
// pause, a silence, a change, and an alert of a host.
func (r *rig) aDay(d int, hosts []string) {
	r.t.Helper()
	on := func(n int) string { return hosts[(d+n)%len(hosts)] }
	for n := range 10 {
		fired := r.fires(on(n), "web", "slow")
		r.tells(on(n), "local web of "+on(n), "decide", "restart-app, because it helped before")
		g := r.granted(on(n), "web", func(q *logpb.Request) {
			q.Incident, q.Digest = "local web of "+on(n), fmt.Append(nil, "release ", d)
		})
		r.settle(on(n), g, logpb.Settlement_SETTLEMENT_SERVING)
		r.clears(on(n), fired, true)
		r.later(hour)
	}
	fired := r.fires(on(1), "", "disk-full")
	r.handsOver(on(1), "", "nothing to try")
	r.courier()
	r.silences(hour, "host="+on(2))
	r.must(pauses("host:"+on(3), hour))
	r.must(command(&logpb.RecordChange{Change: &logpb.Change{
		Service: "web", Text: fmt.Sprint("release ", d)}}))
	r.later(2 * hour)
	r.courier()
	r.clears(on(1), fired, false)
	r.courier()
	r.later(day - 12*hour)
}

// A storm is not kept for 30 days.
func TestEndedIncidentsAreCounted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("web", nil, "h")
	r.quick = true
	var first, last string
	for n := range 1000 {
		r.clears("h", r.fires("h", "web", "slow"), false)
		last = r.incident("web").GetId()
		if n == 0 {
			first = last
		}
	}
	r.later(hour)
	if n := len(r.s.Incidents()); n != keepEnded {
		t.Errorf("%d incidents are kept", n)
	}
	if r.s.Incident(first) != nil || r.s.Incident(last) == nil || len(r.s.alerts) != keepEnded {
		t.Errorf("the wrong ones, or %d alerts", len(r.s.alerts))
	}
	sound(t, r.s)
}

// Long timelines of ended incidents are bounded together, too.
func TestLinesOfEndedIncidentsAreCounted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 100 {
		id := fmt.Sprintf("%03d", n)
		r.s.incidents[id] = &logpb.Incident{
			Id: id, State: logpb.IncidentState_INCIDENT_STATE_RESOLVED, Ended: r.at + int64(n),
			Timeline: make([]*logpb.TimelineEvent, 1000),
		}
	}
	r.s.pruneIncidents()
	if n := len(r.s.incidents); n != keepEndedLines/1000 || r.s.incidents["099"] == nil {
		t.Errorf("%d are kept", n)
	}
}

// What is not over is never forgotten, and neither is what a person must resume.
func TestNotPruned(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("web", nil, "h1", "h2", "h3")
	r.joins("db", nil, "h4")
	r.fires("h1", "web", "slow")
	for _, host := range []string{"h1", "h2"} {
		r.settle(host, r.granted(host, "web"), logpb.Settlement_SETTLEMENT_FAILED)
	}
	r.settle("h4", r.granted("h4", "db"), logpb.Settlement_SETTLEMENT_FAILED)
	r.later(300 * day)
	r.courier()
	if len(r.s.Incidents()) != 1 || len(r.s.AlertsOf(r.incident("web").GetId())) != 1 {
		t.Errorf("left: %v", r.s.Incidents())
	}
	if w := r.s.Widths(""); len(w) != 1 || w[0].GetService() != "web" {
		t.Errorf("widths: %v", w)
	}
	r.refused("halted", "h3", "web")
}

// The end of an incident that is still being told keeps it.
func TestPruneWaitsForTheFarewell(t *testing.T) {
	t.Parallel()
	r, n := paging(t, "default")
	r.sent("trigger checkout/0/0 slack.ops")
	r.clears("web-1", n, true)
	i := r.incident("checkout")
	i.Ended -= 100 * day
	r.s.pruneIncidents()
	if r.s.Incident(i.GetId()) == nil {
		t.Fatal("it is forgotten before its end was told")
	}
	r.sent("resolve checkout/resolved slack.ops")
	r.s.pruneIncidents()
	if r.s.Incident(i.GetId()) != nil || len(r.s.deliveries) != 0 || len(r.s.alerts) != 0 {
		t.Error("it is kept")
	}
	sound(t, r.s)
}

func TestStatisticsArePruned(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 2*keepStatistics + 10 {
		r.s.at += second
		r.s.count(&logpb.Statistic{Service: fmt.Sprint(n), Verified: 1})
	}
	if n := len(r.s.statistics); n != 2*keepStatistics {
		t.Errorf("%d are taken before they are pruned", n)
	}
	r.s.pruneStatistics()
	if n := len(r.s.statistics); n != keepStatistics || r.s.statistics[statisticKey{service: "9999"}] == nil {
		t.Errorf("%d are kept", n)
	}
	r.s.at += keepCountedFor + hour
	r.s.pruneStatistics()
	if n := len(r.s.statistics); n != 0 {
		t.Errorf("%d are kept after half a year", n)
	}
}
