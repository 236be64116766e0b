package story

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// permits are what is still out there.
func (t teller) permits() {
	if len(t.i.Permits) == 0 {
		return
	}
	t.printf("\nOpen permits\n")
	for _, p := range t.i.Permits {
		what := p.Remedy
		if p.Unit != "" {
			what += " of " + p.Unit
		}
		line := fmt.Sprintf("%s for %s on %s, granted %s", p.Token, what, p.Host, t.moment(p.Granted))
		if p.Revoked != "" {
			line += "; " + p.Revoked + " asked it to stop"
		}
		switch {
		case p.Unknown:
			line += "; UNKNOWN what became of it, so it goes on counting"
		case p.Overdue:
			line += "; it should have ended by now"
		}
		t.printf("  %s\n", line)
	}
}

// messages are who was told what.
func (t teller) messages() {
	if len(t.i.Messages) == 0 {
		return
	}
	t.printf("\nMessages\n")
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, m := range t.i.Messages {
		state := m.State
		if m.Tries > 1 {
			state += fmt.Sprintf(" after %d tries", m.Tries)
		}
		if m.Error != "" {
			state += ": " + oneLine(m.Error)
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\n", t.moment(m.At), m.Kind, oneLine(m.To), state)
	}
	tw.Flush()
	t.printf("%s", b.String())
}
