package state

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/salveops/salve/proto/logpb"
)

func TestStory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2", "web-3")
	r.fires("web-1", "checkout", "down")
	r.fires("web-2", "checkout", "slow")
	i := r.incident("checkout")
	r.tells("web-1", "local checkout of web-1", "decide", "restart-app, for it is dead")
	if i.GetState() != logpb.IncidentState_INCIDENT_STATE_OPEN || i.GetActed() != 0 {
		t.Errorf("nothing is done yet, and it is %s", i.GetState())
	}
	r.tells("web-2", "local checkout of web-2", "act", "restarted")
	r.tells("web-1", "no such story", "act", "restarted")
	if i.GetState() != logpb.IncidentState_INCIDENT_STATE_HEALING || i.GetActed() != r.at-second/1000 {
		t.Errorf("it is %s, acted at %d, and it is %d", i.GetState(), i.GetActed(), r.at)
	}
	last := i.GetTimeline()[len(i.GetTimeline())-1]
	want := &logpb.TimelineEvent{At: i.GetActed(), Type: "act", Text: "restarted", Host: "web-2", HostName: "web-2"}
	if diff := cmp.Diff(want, last, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An agent asks as soon as it has judged, and its alert may come later. The story has the permit all the same, once.
func TestPermitBeforeItsAlert(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2", "web-3")
	for _, host := range []string{"web-1", "web-2"} {
		g := r.granted(host, "checkout", func(q *logpb.Request) { q.Incident = "local checkout of " + host })
		r.fires(host, "checkout", "slow")
		r.fires(host, "checkout", "down")
		r.settle(host, g, logpb.Settlement_SETTLEMENT_SERVING, serving("checkout"))
	}
	i := r.incident("checkout")
	if i.GetState() != logpb.IncidentState_INCIDENT_STATE_HEALING {
		t.Errorf("it is %s while a remedy runs", i.GetState())
	}
	var permits []string
	for _, e := range i.GetTimeline() {
		if e.GetType() == "permit" {
			permits = append(permits, e.GetText())
		}
	}
	want := []string{"permit 1@11111111 for restart-app on web-1", "permit 1@11111111 is settled: serving",
		"permit 2@11111111 for restart-app on web-2", "permit 2@11111111 is settled: serving"}
	if diff := cmp.Diff(want, permits); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	r.fires("web-1", "checkout", "down")
	for n := range 2 * maxEvidence {
		refs := []*logpb.EvidenceRef{
			{Digest: fmt.Append(nil, n), Title: strings.Repeat("x", 1000)}, {Digest: []byte("same")}, {Digest: make([]byte, 1000)},
		}
		r.says("web-1", &logpb.Event{What: &logpb.Event_Story{Story: &logpb.Story{
			Local: "local checkout of web-1", Evidence: refs}}})
	}
	i := r.incident("checkout")
	if len(i.GetEvidence()) != maxEvidence || len(i.GetEvidence()[0].GetTitle()) > maxName {
		t.Errorf("%d pieces", len(i.GetEvidence()))
	}
}

// An incident becomes graver when a host says so, and never milder.
func TestIncidentBecomesGraver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	r.fires("web-1", "checkout", "down")
	was := r.incident("checkout").GetSeverity()
	for _, c := range []struct{ says, want string }{
		{"", was}, {"absurd", was}, {"critical", "critical"}, {"info", "critical"},
	} {
		r.says("web-1", &logpb.Event{What: &logpb.Event_Story{Story: &logpb.Story{
			Local: "local checkout of web-1", Severity: c.says}}})
		if got := r.incident("checkout").GetSeverity(); got != c.want {
			t.Errorf("from %s, told %q: %s, want %s", was, c.says, got, c.want)
		}
	}
}

// Of a long timeline the beginning and the newest are kept.
func TestTimelineIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	r.fires("web-1", "checkout", "down")
	for n := range 1200 {
		r.tells("web-1", "local checkout of web-1", "decide", fmt.Sprint("line ", n))
	}
	lines, dropped := r.incident("checkout").GetTimeline(), r.incident("checkout").GetDropped()
	if len(lines) != 1000 || lines[1].GetText() != "line 0" || lines[99].GetText() != "line 98" ||
		lines[999].GetText() != "line 1199" || dropped != 201 {
		t.Errorf("%d lines, %d dropped, %q … %q", len(lines), dropped, lines[99].GetText(), lines[999].GetText())
	}
}

// What an agent told by itself belongs to the incident, which ends it there.
func TestLocalPageIsAdopted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2", "web-3")
	r.fires("web-1", "checkout", "down")
	n := r.fires("web-2", "checkout", "slow")
	i := r.incident("checkout")
	page := func(key string, notifiers ...string) {
		r.says("web-2", &logpb.Event{What: &logpb.Event_Page{Page: &logpb.LocalPage{
			Local: "local checkout of web-2", Key: key, Notifiers: notifiers}}})
	}
	page("0123/0/0", "email.me", "webhook.chat", "no name", "")
	page("0123/1/0", "email.me")
	page(i.GetId()+"/0/0", "webhook.chat")
	r.must(resolves(i))
	r.sent("resolve 0123/resolved email.me", "resolve 0123/resolved webhook.chat",
		"resolve checkout/resolved webhook.chat")
	page("0123/2/0", "webhook.boss") // it came after the end
	r.sent("resolve 0123/resolved webhook.boss")

	// Nobody can end another incident at a place by claiming its name.
	r.clears("web-2", n, false)
	r.fires("web-2", "", "disk-full")
	other := r.incident("")
	r.fires("web-2", "checkout", "slow")
	page(other.GetId()+"/0/0", "slack.ops")
	r.must(resolves(r.incident("checkout")))
	r.sent()
}

// TestQuorumLostPagesOnce: three nodes without a quorum told people under one key. Once there is a quorum
// again, that page ends, once at each place.
func TestQuorumLostPagesOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n, notifiers := range [][]string{{"pagerduty.payments"}, {"pagerduty.payments", "slack.ops"}, {"slack.ops"}} {
		r.must(command(&logpb.QuorumPage{
			Key: "quorum-1/0/0", Notifiers: notifiers, Node: fmt.Sprint("ctl-", n+1), Text: "no leader for 30 s"}))
	}
	r.sees("quorum-lost resolved: ")
	r.sent("resolve quorum-1/resolved pagerduty.payments", "resolve quorum-1/resolved slack.ops")
	r.wrote(r.incident(""), "ctl-2 told people by itself: pagerduty.payments, slack.ops")
	r.later(day)
	r.sent()
	r.must(command(&logpb.QuorumPage{
		Key: "quorum-2/0/0", Notifiers: []string{"slack.ops"}, Node: "ctl-1"}))
	r.sent("resolve quorum-2/resolved slack.ops")
	r.code("key", r.apply(command(&logpb.QuorumPage{})))
}

// TestQuorumPageAfterItsEnd: a node that was cut off for longer pages, or pages again, under a key whose end was
// told. Whoever it told hears of the end, too: a place that they all told, once more.
func TestQuorumPageAfterItsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	page := func(node string, notifiers ...string) {
		r.must(command(&logpb.QuorumPage{Key: "quorum-1/0", Notifiers: notifiers, Node: node}))
	}
	page("ctl-1", "slack.ops")
	r.sent("resolve quorum-1/resolved slack.ops")
	r.later(reportAfter - second)
	page("ctl-2", "slack.ops", "email.dba")
	r.sent("resolve quorum-1/resolved email.dba") // the same outage
	r.later(minute)
	page("ctl-3", "slack.ops", "pagerduty.payments")
	late := fmt.Sprintf("resolve quorum-1/resolved/%d slack.ops", r.s.Index())
	r.sent("resolve quorum-1/resolved pagerduty.payments", late)
	page("ctl-3", "slack.ops", "pagerduty.payments") // it did not hear that this was committed
	r.sent()

	// What has not been sent yet comes later than the page.
	r.later(minute)
	page("ctl-1", "email.dba")
	r.later(minute)
	page("ctl-2", "email.dba")
	if got := r.courier(); len(got) != 1 {
		t.Errorf("sent %q", got)
	}
	r.sees("quorum-lost resolved: ")
	sound(t, r.s)
}

func TestStatistics(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	count := func(x *logpb.Statistic) {
		x.Service, x.Rule, x.Remedy = "checkout", "down", "restart"
		r.says("web-1", &logpb.Event{What: &logpb.Event_Story{Story: &logpb.Story{Outcome: x}}})
	}
	count(&logpb.Statistic{Verified: 1})
	count(&logpb.Statistic{Verified: 1000})
	count(&logpb.Statistic{Worse: 1})
	count(&logpb.Statistic{Ineffective: 1})
	count(&logpb.Statistic{Inconclusive: 1})
	want := []*logpb.Statistic{{
		Service: "checkout", Rule: "down", Remedy: "restart", Verified: 2, Worse: 1, Ineffective: 1, Inconclusive: 1, Last: r.at,
	}}
	if diff := cmp.Diff(want, r.s.Statistics(), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r.s.statistics[statisticKey{"checkout", "down", "restart"}].Verified = 1<<32 - 1
	count(&logpb.Statistic{Verified: 1})
	if got := r.s.Statistics()[0].GetVerified(); got != 1<<32-1 {
		t.Errorf("it counts round to %d", got)
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	change := func(c *logpb.Change) string {
		return r.must(command(&logpb.RecordChange{Change: c})).GetId()
	}
	change(&logpb.Change{Service: "checkout", Kind: "deployment", Text: "too long ago"})
	r.later(11 * minute)
	change(&logpb.Change{Service: "checkout", Kind: "deployment", Text: "v2", By: "ci"})
	change(&logpb.Change{Host: "web-1", Kind: "package", Text: "openssl"})
	change(&logpb.Change{Service: "shop", Kind: "deployment", Text: "elsewhere"})
	change(&logpb.Change{Text: "the fleet"})
	r.later(minute)
	r.fires("web-1", "checkout", "down")
	i := r.incident("checkout")
	r.wrote(i, "diagnose: 1m0s before: deployment of checkout by ci: v2")
	r.wrote(i, "diagnose: 1m0s before: package on web-1: openssl")
	r.wrote(i, ": the fleet")
	change(&logpb.Change{Service: "checkout", Kind: "configuration", Text: "told late"})
	r.wrote(i, "just now: configuration of checkout: told late")
	for _, e := range i.GetTimeline() {
		if strings.Contains(e.GetText(), "too long ago") || strings.Contains(e.GetText(), "elsewhere") {
			t.Errorf("said: %s", e.GetText())
		}
	}
	r.code("change", r.apply(command(&logpb.RecordChange{})))
	var last string
	for range maxChanges + 5 {
		last = change(&logpb.Change{Text: "again"})
	}
	if all := r.s.Changes(); len(all) != maxChanges || all[0].GetId() != last || all[maxChanges-1].GetText() != "again" {
		t.Errorf("%d changes, newest %v", len(all), all[0])
	}
}
