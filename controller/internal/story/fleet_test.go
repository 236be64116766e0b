package story

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

const begin = int64(1_772_334_000e9) // 2026-03-01 03:00:00 UTC

// tells is a line that arrived so long after the beginning, and when its host's clock says that it was.
func tells(host, text string, arrived, hostAt time.Duration) *logpb.TimelineEvent {
	e := &logpb.TimelineEvent{At: begin + int64(arrived), Host: host, HostName: host, Type: "act", Text: text}
	if hostAt >= 0 {
		e.HostAt = begin + int64(hostAt)
	}
	return e
}

func TestLinesOfSeveralHostsAreInOrder(t *testing.T) {
	const s, hour = time.Second, time.Hour
	tests := []struct {
		name  string
		lines []*logpb.TimelineEvent
		want  string // texts with their times
		note  string // part of what is said about the clocks
	}{
		{
			"lines that came late", []*logpb.TimelineEvent{
				tells("a", "a1", 1*s, 1*s), tells("b", "b1", 2*s, 2*s), tells("a", "a2", 9*s, 3*s), tells("b", "b2", 4*s, 4*s),
			}, "a1@1s b1@2s a2@3s b2@4s", "",
		},
		{
			"a clock that is an hour ahead", []*logpb.TimelineEvent{
				tells("a", "a1", 1*s, hour+1*s), tells("b", "b1", 2*s, 2*s), tells("a", "a2", 3*s, hour+3*s),
			}, "a1@1s b1@2s a2@3s", "the clock of a is 1h 0m ahead",
		},
		{
			"a clock that is behind", []*logpb.TimelineEvent{
				tells("a", "a1", 11*s, 1*s), tells("b", "b1", 12*s, 12*s), tells("a", "a2", 15*s, 3*s),
			}, "a1@11s b1@12s a2@13s", "every line of a came 10 s late, or its clock is behind",
		},
		{
			"a clock that was set back", []*logpb.TimelineEvent{
				tells("a", "a1", 1*s, 1*s), tells("a", "a2", 5*s, 5*s), tells("a", "a3", 6*s, 2*s),
			}, "a1@1s a2@5s a3@5s", "",
		},
		{
			"the controller's own", []*logpb.TimelineEvent{
				tells("a", "a1", 3*s, 1*s), tells("", "c1", 2*s, -1), tells("a", "a2", 4*s, 4*s),
			}, "a1@1s c1@2s a2@4s", "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			events, notes := inOrder(tt.lines, instant(begin))
			var got []string
			for _, e := range events {
				got = append(got, fmt.Sprintf("%s@%s", e.Text, e.Offset))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
			if said := strings.Join(notes, "; "); (said == "") != (tt.note == "") || !strings.Contains(said, tt.note) {
				t.Errorf("of the clocks is said %q, want %q", said, tt.note)
			}
		})
	}
}

func TestAttemptsAreRecalled(t *testing.T) {
	type line struct {
		at         time.Duration
		host, typ  string
		text       string
		attributes []string
	}
	tests := []struct {
		name  string
		lines []line
		want  string // deeds, one a line
	}{
		{"verified", []line{
			{0, "a", "intent", "restart-app begins: restart x.service", []string{"attempt", "1"}},
			{1, "a", "act", "restart-app on x.service took 38ms", []string{"attempt", "1", "remedy", "restart-app", "kind", "restart", "target", "x.service", "by", "rule"}},
			{5, "a", "verify", "restart-app: verified: it is up", []string{"attempt", "1", "outcome", "verified"}},
		}, "on a: restarted x.service (restart-app); verified: it is up"},
		{"two hosts with one number", []line{
			{0, "a", "act", "r on x took 1ms", []string{"attempt", "1", "remedy", "r", "kind", "restart", "target", "x"}},
			{1, "b", "act", "r on x took 1ms", []string{"attempt", "1", "remedy", "r", "kind", "restart", "target", "x"}},
			{2, "b", "verify", "r: worse: p99 up", []string{"attempt", "1", "outcome", "worse"}},
			{3, "b", "undo", "r was taken back", []string{"attempt", "1"}},
		}, "on a: restarted x (r); no verdict yet\non b: restarted x (r); worse: p99 up; taken back"},
		{"failed", []line{
			{0, "a", "act", "r on x failed: job timed out", []string{"attempt", "1", "remedy", "r", "kind", "restart", "target", "x"}},
		}, "on a: restarted x (r); it failed: job timed out"},
		{"refused before it began", []line{
			{0, "a", "decide", "r does not run: x is masked", []string{"attempt", "1", "remedy", "r"}},
		}, "on a: refused to do: began (r): x is masked"},
		{"undo that failed", []line{
			{0, "a", "act", "r on x took 1ms", []string{"attempt", "1", "remedy", "r", "kind", "set_property", "target", "x"}},
			{1, "a", "undo", "r could not be taken back: x is gone", []string{"attempt", "1"}},
		}, "on a: changed limits of x (r); no verdict yet"},
		{"nobody knows", []line{
			{0, "a", "intent", "r begins: restart x", []string{"attempt", "1"}},
			{1, "a", "act", "the agent was restarted while r was under way: unknown", []string{"attempt", "1", "phase", "unknown"}},
		}, "on a: UNKNOWN whether it began to restart x (r): the agent was restarted while r was under way: unknown"},
		{"lines of no attempt", []line{{0, "a", "alert", "x fires", nil}, {1, "", "end", "over", nil}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var events []Event
			for _, l := range tt.lines {
				offset := l.at * time.Second
				e := Event{At: instant(begin).Add(offset), Offset: &offset, Host: l.host, Type: l.typ, Text: l.text, Fields: map[string]string{}}
				for i := 0; i+1 < len(l.attributes); i += 2 {
					e.Fields[l.attributes[i]] = l.attributes[i+1]
				}
				events = append(events, e)
			}
			var got []string
			for _, a := range attemptsIn(events) {
				got = append(got, teller{i: Tale{Fleet: true}}.deed(a))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What hosts tell must not steer the terminal of who reads it.
func TestFleetControlCharactersDoNotReachTheTerminal(t *testing.T) {
	const nasty = "a\x1b[31m\x07\nb"
	e := &logpb.TimelineEvent{At: begin, Host: nasty, HostName: nasty, Type: nasty, Text: nasty, Fields: []*logpb.Label{
		{Name: "candidates", Value: nasty}, {Name: "attempt", Value: nasty}, {Name: "remedy", Value: nasty},
	}}
	r := &adminpb.GetIncidentResponse{
		Incident: &logpb.Incident{
			Id: nasty, Service: nasty, Title: nasty, End: nasty, Reason: nasty, Told: []string{nasty},
			State: logpb.IncidentState_INCIDENT_STATE_ESCALATED, Timeline: []*logpb.TimelineEvent{e},
			Evidence: []*logpb.EvidenceRef{{Title: nasty, Host: nasty}},
		},
		Alerts:     []*logpb.Alert{{Rule: nasty, HostName: nasty, Instance: nasty, Condition: nasty, Values: []string{nasty}, Muted: nasty}},
		Permits:    []*logpb.Permit{{Host: nasty, Remedy: nasty, Unit: nasty, Revoked: nasty, Unknown: true}},
		Deliveries: []*logpb.Delivery{{Notifier: nasty, Kind: nasty, Error: nasty, Tries: 2}},
		Aliases:    []string{nasty},
	}
	var b strings.Builder
	Write(&b, OfFleet(r), Options{Evidence: true})
	fmt.Fprintln(Printable(&b), FleetLine(&adminpb.WatchResponse{Incident: nasty, Service: nasty, Event: e}))
	for n, r := range b.String() {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			t.Fatalf("control character %q after %q", r, b.String()[max(0, n-60):n])
		}
	}
}
