package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/proto/localpb"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func after(ms int) *timestamppb.Timestamp {
	return timestamppb.New(noon.Add(time.Duration(ms) * time.Millisecond))
}

func lasting(ms int) *durationpb.Duration {
	return durationpb.New(time.Duration(ms) * time.Millisecond)
}

func record(state string, attempts ...*localpb.Attempt) *localpb.Incident {
	return &localpb.Incident{
		Summary:  &localpb.IncidentSummary{State: state},
		Alerts:   []*localpb.Alert{{Fired: after(3)}},
		Attempts: attempts,
	}
}

func TestCompare(t *testing.T) {
	want := ending{state: "resolved", attempts: []attempt{
		{remedy: "a", outcomes: []string{"ineffective"}, undone: true},
		{remedy: "b", outcomes: []string{"verified"}},
	}}
	a := &localpb.Attempt{Remedy: "a", Outcome: "ineffective", Undone: true}
	b := &localpb.Attempt{Remedy: "b", Outcome: "verified"}
	for name, tc := range map[string]struct {
		in   *localpb.Incident
		want string // part of the error; "" is none
	}{
		"as it must be": {record("resolved", a, b), ""},
		"state":         {record("escalated", a, b), "incident is escalated"},
		"too few":       {record("resolved", a), "1 attempts, want 2: a ineffective"},
		"order":         {record("resolved", b, a), "attempt 1 is b"},
		"not undone":    {record("resolved", &localpb.Attempt{Remedy: "a", Outcome: "ineffective"}, b), "undone false"},
		"not verified":  {record("resolved", a, &localpb.Attempt{Remedy: "b", Outcome: "worse"}), `attempt 2 is b, "worse"`},
	} {
		t.Run(name, func(t *testing.T) {
			err := want.compare(tc.in)
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error is %v, want %q in it", err, tc.want)
			}
		})
	}
}

// The last action counts as acted, and only a verified one as verified.
func TestTimes(t *testing.T) {
	refused := &localpb.Attempt{Remedy: "never ran", Intended: after(900)}
	useless := &localpb.Attempt{Intended: after(10), Act: lasting(20), Verify: lasting(500), Outcome: "ineffective"}
	good := &localpb.Attempt{Intended: after(600), Act: lasting(50), Verify: lasting(1000), Outcome: "verified"}
	for name, tc := range map[string]struct {
		in   *localpb.Incident
		want result
	}{
		"nothing done": {record("escalated", refused), result{detected: 3 * time.Millisecond}},
		"not healed": {record("escalated", useless),
			result{detected: 3 * time.Millisecond, acted: 30 * time.Millisecond}},
		"healed": {record("resolved", useless, good, refused),
			result{detected: 3 * time.Millisecond, acted: 650 * time.Millisecond, verified: 1650 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			var got result
			got.times(noon, tc.in)
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestUsefulMessage(t *testing.T) {
	for details, want := range map[string]bool{
		"12:00  escalate  handed over\n\n=== unit\nfailed\n": true,
		"12:00  escalate  handed over\n":                     false,
		"12:00  alert  it fires\n\n=== unit\nfailed\n":       false,
	} {
		var m rig.Page
		m.Details = details
		if err := useful(m); (err == nil) != want {
			t.Errorf("%q: %v", details, err)
		}
	}
}

func TestTable(t *testing.T) {
	got := table([]result{
		{title: "crash", detected: 3 * time.Millisecond, acted: 25 * time.Millisecond, verified: 1200 * time.Millisecond,
			end: "resolved", outside: "a new process"},
		{title: "hang", detected: 650 * time.Millisecond, err: errors.New("no end\nin time")},
	})
	want := []string{
		"story  detected ms  acted ms  verified ms  end                seen from outside",
		"crash  3            25        1200         resolved           a new process",
		"hang   650          –         –            NOT AS IT MUST BE  no end; in time",
	}
	for i, line := range strings.Split(strings.TrimRight(got, "\n"), "\n") {
		if i >= len(want) || line != want[i] {
			t.Errorf("line %d is %q", i+1, line)
		}
	}
}
