// Package story writes incidents for people: one line of a timeline, or the whole story for someone
// who was asleep while it happened.
package story

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/salveops/salve/proto/localpb"
)

// Options says how a story is told.
type Options struct {
	Evidence bool           // unfold the evidence
	Zone     *time.Location // of the times; nil means UTC
}

// teller writes one story.
type teller struct {
	w io.Writer
	i *localpb.Incident
	o Options
}

// Write tells the whole story of an incident. Errors are those of w, which the caller's next write
// meets again.
func Write(w io.Writer, i *localpb.Incident, o Options) {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	t := teller{w: Printable(w), i: i, o: o}
	t.headline()
	t.times()
	t.alerts()
	t.timeline()
	t.attempts()
	t.evidence()
	t.next()
}

func (t teller) printf(format string, args ...any) { fmt.Fprintf(t.w, format, args...) }

// headline says what broke, what was done, how it ended.
func (t teller) headline() {
	s := t.i.GetSummary()
	of := s.GetService()
	if of == "" {
		of = "this host"
	}
	t.printf("Incident %s: %s, %s\n\n", s.GetId(), of, s.GetSeverity())
	t.printf("  Broke:  %s, at %s\n", s.GetTitle(), t.moment(s.GetOpened()))
	for n, a := range t.i.GetAttempts() {
		head := "  Done:  "
		if n > 0 {
			head = "  Then:  "
		}
		t.printf("%s %s\n", head, deed(a))
	}
	if len(t.i.GetAttempts()) == 0 {
		t.printf("  Done:   nothing%s\n", t.why())
	}
	t.printf("  Ended:  %s\n", t.ending())
}

// why explains that nothing was done, with the last decision.
func (t teller) why() string {
	if r := t.i.GetWouldHave(); r != "" {
		return "; it would have run " + r + ", but autonomy is observe"
	}
	events := t.i.GetTimeline()
	for n := len(events) - 1; n >= 0; n-- {
		if events[n].GetType() == "decide" {
			return ": " + events[n].GetText()
		}
	}
	return ""
}

// ending is how it ended, or that it has not.
func (t teller) ending() string {
	s := t.i.GetSummary()
	switch s.GetState() {
	case "resolved":
		return join("resolved after "+Span(s.GetTotal()), s.GetEnd())
	case "escalated":
		return join("NOT YET; handed to people", t.i.GetEscalation().GetReason())
	case "acknowledged":
		if s.GetKeepHealing() {
			return "NOT YET; " + s.GetAckBy() + " has it, and remedies go on"
		}
		return "NOT YET; " + s.GetAckBy() + " has it, and no new remedy is tried"
	}
	return "NOT YET; " + s.GetState()
}

func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + ": " + b
}

// times says how fast it was, in milliseconds.
func (t teller) times() {
	s := t.i.GetSummary()
	judged := "judged"
	if last := t.lastAttempt(); last.GetOutcome() == "verified" {
		judged = "verified"
	}
	var lines []string
	for _, l := range []struct {
		name string
		d    *durationpb.Duration
		from string
	}{
		{"detected", s.GetDetect(), "from the beginning of the trouble to the alert"},
		{"acted", s.GetAct(), "from the alert to the end of the first action"},
		{judged, s.GetVerify(), "from the end of the last action to the verdict"},
		{"in all", s.GetTotal(), "from the alert to the end"},
	} {
		if l.d != nil {
			lines = append(lines, fmt.Sprintf("%s\t%s ms\t  %s\n", l.name, milliseconds(l.d), l.from))
		}
	}
	if len(lines) == 0 {
		return
	}
	t.printf("\n")
	tw := tabwriter.NewWriter(t.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	io.WriteString(tw, strings.Join(lines, ""))
	tw.Flush()
}

func (t teller) alerts() {
	t.printf("\nAlerts\n")
	for _, a := range t.i.GetAlerts() {
		about := a.GetInstance()
		if about == "" {
			about = "the host"
		}
		t.printf("  %s, %s, on %s\n", a.GetRule(), a.GetSeverity(), about)
		t.printf("    when   %s\n", strings.ReplaceAll(a.GetCondition(), "\n", "\n           "))
		t.printf("    fired  %s%s\n", t.moment(a.GetFired()), t.resolved(a))
		for _, v := range a.GetValues() {
			t.printf("           %s = %s\n", v.GetSignal(), v.GetText())
		}
		if a.GetBlind() {
			t.printf("    blind: the condition could not be known for lack of data\n")
		}
		if a.GetMuted() != "" {
			t.printf("    muted: %s, on which it depends, has an incident of its own\n", a.GetMuted())
		}
	}
}

func (t teller) resolved(a *localpb.Alert) string {
	if a.GetResolved() == nil {
		return ", still firing"
	}
	return ", resolved " + t.moment(a.GetResolved())
}

// evidence lists what was collected, or shows it.
func (t teller) evidence() {
	all := t.i.GetEvidence()
	if len(all) == 0 {
		return
	}
	if t.o.Evidence {
		t.printf("\nEvidence\n")
	} else {
		t.printf("\nEvidence (--evidence unfolds it)\n")
	}
	for _, e := range all {
		text := strings.TrimRight(e.GetText(), "\n")
		lines := strings.Split(text, "\n")
		t.printf("  %s: %s, %d bytes, %s\n", e.GetTitle(), Number(len(lines), "line"), len(e.GetText()), t.moment(e.GetAt()))
		if t.o.Evidence {
			t.printf("    | %s\n", strings.Join(lines, "\n    | "))
		}
	}
}

// moment is a time of day with milliseconds; the zone is named once, by the headline's date.
func (t teller) moment(at *timestamppb.Timestamp) string {
	if at == nil {
		return "an unknown time"
	}
	return at.AsTime().In(t.o.Zone).Format("2006-01-02 15:04:05.000 MST")
}
