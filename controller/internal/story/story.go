// Package story writes incidents for people: one line of a timeline, or the whole story for someone
// who was asleep while it happened. Agents and the controller remember incidents in their own ways;
// both are made into a Tale, and told in one way.
package story

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Options says how a story is told.
type Options struct {
	Evidence bool           // unfold the evidence
	Zone     *time.Location // of the times; nil means UTC
}

// teller writes one story.
type teller struct {
	w io.Writer
	i Tale
	o Options
}

// Write tells the whole story of an incident. Errors are those of w, which the caller's next write
// meets again.
func Write(w io.Writer, i Tale, o Options) {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	t := teller{w: Printable(w), i: i, o: o}
	t.headline()
	t.times()
	t.alerts()
	t.timeline()
	t.attempts()
	t.permits()
	t.messages()
	t.evidence()
	t.next()
}

func (t teller) printf(format string, args ...any) { fmt.Fprintf(t.w, format, args...) }

// maxAliases is how many other names of an incident are told: each of many hosts gives it one.
const maxAliases = 4

// headline says what broke, what was done, how it ended.
func (t teller) headline() {
	of := t.i.Service
	switch {
	case of == "" && t.i.Fleet:
		of = "hosts"
	case of == "":
		of = "this host"
	}
	t.printf("Incident %s: %s, %s\n", t.i.ID, of, t.i.Severity)
	if n := len(t.i.Aliases); n > 0 {
		more := ""
		if n > maxAliases {
			more = fmt.Sprintf(" and %d more", n-maxAliases)
		}
		t.printf("also known as %s%s\n", strings.Join(t.i.Aliases[:min(n, maxAliases)], ", "), more)
	}
	t.printf("\n  Broke:  %s, at %s\n", t.i.Title, t.moment(t.i.Opened))
	for n, a := range t.i.Attempts {
		head := "  Done:  "
		if n > 0 {
			head = "  Then:  "
		}
		t.printf("%s %s\n", head, t.deed(a))
	}
	if len(t.i.Attempts) == 0 {
		t.printf("  Done:   nothing%s\n", t.why())
	}
	t.printf("  Ended:  %s\n", t.ending())
}

// why explains that nothing was done, with the last decision.
func (t teller) why() string {
	if r := t.i.WouldHave; r != "" {
		return "; it would have run " + r + ", but autonomy is observe"
	}
	events := t.i.Timeline
	for n := len(events) - 1; n >= 0; n-- {
		if events[n].Type == "decide" {
			return ": " + oneLine(events[n].Text)
		}
	}
	return ""
}

// ending is how it ended, or that it has not.
func (t teller) ending() string {
	switch t.i.State {
	case "resolved":
		return join("resolved after "+span(t.i.Total), t.i.End)
	case "escalated":
		return join("NOT YET; handed to people", t.i.Escalation.Reason)
	case "acknowledged":
		if t.i.Keep {
			return "NOT YET; " + t.i.AckBy + " has it, and remedies go on"
		}
		return "NOT YET; " + t.i.AckBy + " has it, and no new remedy is tried"
	}
	return "NOT YET; " + t.i.State
}

func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + ": " + b
}

// times says how fast it was, in milliseconds.
func (t teller) times() {
	judged := "judged"
	if last := t.lastAttempt(); last != nil && last.Outcome == "verified" {
		judged = "verified"
	}
	var lines []string
	for _, l := range []struct {
		name string
		d    *time.Duration
		from string
	}{
		{"detected", t.i.Detect, "from the beginning of the trouble to the alert"},
		{"acted", t.i.Act, "from the alert to the end of the first action"},
		{judged, t.i.Verify, "from the end of the last action to the verdict"},
		{"in all", t.i.Total, "from the alert to the end"},
	} {
		if l.d != nil {
			lines = append(lines, fmt.Sprintf("%s\t%s ms\t  %s\n", l.name, milliseconds(*l.d), l.from))
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
	if t.i.Forgotten > 0 {
		t.printf("  (%s no longer kept)\n", are(t.i.Forgotten, "resolved alert"))
	}
	for _, a := range t.i.Alerts {
		t.printf("  %s, %s, on %s\n", a.Rule, a.Severity, a.about())
		t.printf("    when   %s\n", strings.ReplaceAll(a.Condition, "\n", "\n           "))
		t.printf("    fired  %s%s\n", t.moment(a.Fired), t.resolved(a))
		for _, v := range a.Values {
			t.printf("           %s\n", v)
		}
		if a.Blind {
			t.printf("    blind: the condition could not be known for lack of data\n")
		}
		if a.Muted != "" {
			t.printf("    muted: %s, on which it depends, has an incident of its own\n", a.Muted)
		}
	}
}

// about is what an alert is about: "checkout.service", "checkout.service of web-1", "the host".
func (a Alert) about() string {
	switch {
	case a.Host == "" && a.Instance == "":
		return "the host"
	case a.Host == "":
		return a.Instance
	case a.Instance == "" || a.Instance == a.Host:
		return "host " + a.Host
	}
	return a.Instance + " of " + a.Host
}

func (t teller) resolved(a Alert) string {
	if a.Resolved.IsZero() {
		return ", still firing"
	}
	return ", resolved " + t.moment(a.Resolved)
}

// evidence lists what was collected, or shows it.
func (t teller) evidence() {
	if len(t.i.Evidence) == 0 {
		return
	}
	if t.o.Evidence {
		t.printf("\nEvidence\n")
	} else {
		t.printf("\nEvidence (--evidence unfolds it)\n")
	}
	for _, e := range t.i.Evidence {
		var about []string
		if e.Host != "" {
			about = append(about, "from "+e.Host)
		}
		lines := strings.Split(strings.TrimRight(e.Text, "\n"), "\n")
		if e.Text != "" {
			about = append(about, Number(len(lines), "line"))
		}
		about = append(about, fmt.Sprintf("%d bytes", e.Size))
		if !e.At.IsZero() {
			about = append(about, t.moment(e.At))
		}
		t.printf("  %s: %s\n", e.Title, strings.Join(about, ", "))
		switch {
		case !t.o.Evidence:
		case e.Missing != "":
			t.printf("    (it cannot be shown: %s)\n", e.Missing)
		default:
			t.printf("    | %s\n", strings.Join(lines, "\n    | "))
		}
	}
}

// moment is a time of day with milliseconds; the zone is named once, by the headline's date.
func (t teller) moment(at time.Time) string {
	if at.IsZero() {
		return "an unknown time"
	}
	return at.In(t.o.Zone).Format("2006-01-02 15:04:05.000 MST")
}
