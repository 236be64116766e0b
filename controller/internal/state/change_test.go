package state

import (
	"slices"
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

// TestNoticed: what hosts notice explains incidents like what people record. Told twice it is there once, and what is new of
// it takes the place of what was said.
func TestNoticed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2")
	tells := func(host, local string, at int64, c *logpb.Change) {
		t.Helper()
		r.says(host, &logpb.Event{What: &logpb.Event_Change{Change: &logpb.LocalChange{Local: local, HostAt: at, Change: c}}})
	}
	pending := &logpb.Change{Kind: "binary", Service: "checkout", Text: "still runs the old program", By: "salve-agent"}
	effective := &logpb.Change{Kind: "binary", Service: "checkout", Text: "runs the new program", By: "salve-agent"}
	r.later(hour)
	done := r.at - 20*minute
	tells("web-1", "s/change-1", done, pending)
	tells("web-1", "s/change-1", done, pending)
	if all := r.s.Changes(); len(all) != 1 || all[0].GetHost() != "web-1" || all[0].GetAt() != done {
		t.Errorf("told twice: %v", all)
	}
	r.fires("web-1", "checkout", "down")
	i := r.incident("checkout")
	tells("web-1", "s/change-1", r.at+hour, effective) // by a clock that is ahead
	r.wrote(i, "just now: binary of checkout on web-1 by salve-agent: runs the new program")
	if all := r.s.Changes(); len(all) != 1 || all[0].GetText() != effective.GetText() || all[0].GetAt() != r.at {
		t.Errorf("told anew: %v", all)
	}
	tells("web-2", "s/change-1", 0, pending) // another host's own
	if all := r.s.Changes(); len(all) != 2 {
		t.Errorf("two hosts have %v", all)
	}
}

// What a host tells without a name takes the place of nothing that was recorded of it here: which, would be chance.
func TestNoticedWithoutAName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	for _, text := range []string{"a", "b"} {
		r.must(command(&logpb.RecordChange{Change: &logpb.Change{Host: "web-1", Kind: "deployment", Text: text}}))
	}
	r.says("web-1", &logpb.Event{What: &logpb.Event_Change{Change: &logpb.LocalChange{
		Change: &logpb.Change{Kind: "package", Text: "c"}}}})
	var got []string
	for _, x := range r.s.Changes() {
		got = append(got, x.GetText())
	}
	if !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("the changes are %q", got)
	}
}

// TestChangesAreToldToHosts: a host knows what was recorded of it and its services, and not what it or another host told.
func TestChangesAreToldToHosts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2")
	r.joins("shop", nil, "shop-1")
	before := r.s.StandingVersion("shop-1")
	for _, c := range []*logpb.Change{
		{Service: "checkout", Kind: "deployment", Text: "v2"},
		{Service: "checkout", Host: "web-2", Kind: "deployment", Text: "canary"},
		{Host: "web-1", Kind: "configuration", Text: "kernel parameters"},
	} {
		r.must(command(&logpb.RecordChange{Change: c}))
	}
	if now := r.s.StandingVersion("shop-1"); now != before {
		t.Errorf("a host that nothing of it concerns is told anew: %d → %d", before, now)
	}
	r.says("web-1", &logpb.Event{What: &logpb.Event_Change{Change: &logpb.LocalChange{Local: "s/change-1",
		Change: &logpb.Change{Kind: "package", Service: "checkout", Text: "noticed"}}}})
	told := func(host string, want ...string) {
		t.Helper()
		var got []string
		for _, c := range r.s.StandingOrders(host).GetChanges() {
			got = append(got, c.GetText())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is told of %q, want %q", host, got, want)
		}
	}
	told("web-1", "kernel parameters", "v2")
	told("web-2", "canary", "v2")
	told("shop-1")
	r.must(command(&logpb.RecordChange{Change: &logpb.Change{Kind: "deployment", Text: "the fleet"}}))
	told("shop-1", "the fleet")
	for range maxToldChanges {
		r.must(command(&logpb.RecordChange{Change: &logpb.Change{Service: "shop", Kind: "deployment", Text: "again"}}))
	}
	told("shop-1", slices.Repeat([]string{"again"}, maxToldChanges)...)
}
