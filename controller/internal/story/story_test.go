package story

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/salveops/salve/proto/localpb"
)

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                              "0 ms",
		100 * time.Microsecond:         "0.1 ms",
		9940 * time.Microsecond:        "9.9 ms",
		19 * time.Millisecond:          "19 ms",
		999 * time.Millisecond:         "999 ms",
		5053 * time.Millisecond:        "5.1 s",
		time.Minute:                    "1m 0s",
		3*time.Minute + 12*time.Second: "3m 12s",
		26*time.Hour + 5*time.Minute:   "26h 5m",
		52 * time.Hour:                 "2d 4h",
	} {
		if got := Span(durationpb.New(d)); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
	if got := Span(nil); got != "?" {
		t.Errorf("nil: got %q", got)
	}
}

func TestDeed(t *testing.T) {
	attempt := func(edit func(*localpb.Attempt)) *localpb.Attempt {
		a := &localpb.Attempt{Remedy: "r", Kind: "restart", Target: "x.service", Phase: "judged", Outcome: "verified"}
		edit(a)
		return a
	}
	tests := []struct {
		name string
		a    *localpb.Attempt
		want string
	}{
		{"verified", attempt(func(*localpb.Attempt) {}), "restarted x.service (r); verified"},
		{
			"no verdict", attempt(func(a *localpb.Attempt) { a.Phase, a.Outcome = "acted", "" }),
			"restarted x.service (r); no verdict yet",
		},
		{
			"undone", attempt(func(a *localpb.Attempt) { a.Outcome, a.Reason, a.Undone = "worse", "p99 up", true }),
			"restarted x.service (r); worse: p99 up; taken back",
		},
		{
			"failed", attempt(func(a *localpb.Attempt) { a.Outcome, a.Error = "", "job failed" }),
			"restarted x.service (r); it failed: job failed",
		},
		{
			"refused", attempt(func(a *localpb.Attempt) { a.Phase, a.Reason = "refused", "masked" }),
			"refused to do: restarted x.service (r): masked",
		},
		{
			"not done", attempt(func(a *localpb.Attempt) { a.Phase, a.Reason = "not_done", "no new main process" }),
			"did not begin: restarted x.service (r): no new main process",
		},
		{
			"kind of a later version", attempt(func(a *localpb.Attempt) { a.Kind = "rollback" }),
			"did rollback on x.service (r); verified",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := deed(attemptOfAgent(tt.a)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAdvice(t *testing.T) {
	tests := []struct {
		name string
		i    *localpb.Incident
		want string // part of the advice
	}{
		{
			"ended by itself", &localpb.Incident{Summary: &localpb.IncidentSummary{State: "resolved"}},
			"it ended without a remedy",
		},
		{
			"ended, but no remedy helped",
			&localpb.Incident{
				Summary:  &localpb.IncidentSummary{State: "resolved"},
				Attempts: []*localpb.Attempt{{Outcome: "ineffective"}},
			},
			"it may come back",
		},
		{
			"ended under observe",
			&localpb.Incident{Summary: &localpb.IncidentSummary{State: "resolved"}, WouldHave: "restart-app"},
			"salve agent run restart-app --dry-run",
		},
		{
			"nobody reached", &localpb.Incident{Summary: &localpb.IncidentSummary{Id: "abc", State: "escalated"}},
			"Nobody was reached yet.",
		},
		{
			"somebody has it",
			&localpb.Incident{Summary: &localpb.IncidentSummary{Id: "abc", State: "acknowledged"}},
			"salve agent release abc",
		},
		{"open", &localpb.Incident{Summary: &localpb.IncidentSummary{State: "open"}}, "salve agent watch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(teller{i: OfAgent(tt.i)}.advice(), "\n")
			if !strings.Contains(got, tt.want) {
				t.Errorf("advice lacks %q:\n%s", tt.want, got)
			}
		})
	}
}

// Texts come from probes and journals: none may break the layout or steer the terminal.
func TestControlCharactersDoNotReachTheTerminal(t *testing.T) {
	const nasty = "a\x1b[31m\x07\nb"
	i := &localpb.Incident{
		Summary: &localpb.IncidentSummary{Id: "abc", Title: nasty, State: "escalated", Service: nasty, End: nasty},
		Alerts: []*localpb.Alert{{
			Rule: nasty, Condition: nasty, Values: []*localpb.Value{{Signal: nasty, Text: nasty}},
		}},
		Timeline: []*localpb.TimelineEvent{{Text: nasty, Fields: map[string]string{"k": nasty, "l": "x\x1by"}}},
		Attempts: []*localpb.Attempt{{Remedy: nasty, Target: nasty, Error: nasty, Before: nasty}},
		Evidence: []*localpb.Evidence{{Title: nasty, Text: nasty + "\ttab"}},
		Escalation: &localpb.Escalation{
			Reason: nasty, Told: []string{nasty}, Due: timestamppb.New(time.Unix(0, 0)),
		},
	}
	var b strings.Builder
	Write(&b, OfAgent(i), Options{Evidence: true})
	b.WriteString(Line(i.GetTimeline()[0]))
	b.WriteString(Result(&localpb.RunResult{Verdict: "refused", Reason: nasty}))
	for n, r := range b.String() {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			t.Fatalf("control character %q after %q", r, b.String()[max(0, n-60):n])
		}
	}
}

// A dry run that lists 200 files is read by people.
func TestResultOfManyLines(t *testing.T) {
	got := Result(&localpb.RunResult{Verdict: "would_run", Reason: "remove 2 files\n100 KiB  a.log.1\n100 KiB  a.log.2"})
	if want := "would run: remove 2 files\n  100 KiB  a.log.1\n  100 KiB  a.log.2"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
