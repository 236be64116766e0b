package escalate

import (
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/notify"
)

// Of a long timeline the beginning and the newest are told.
const (
	firstEvents = 20
	lastEvents  = 80
)

// render writes the message of a delivery.
func (c *Courier) render(i *incident.Incident, d *incident.Delivery) notify.Message {
	m := notify.Message{
		Key: d.Key, Kind: kind(i, d), Incident: i.ID, Service: i.Service, Host: c.o.Host, Severity: i.Severity,
		Title: i.Title, At: c.o.Clock.Now().Wall,
	}
	m.Summary = summary(i, m.Kind, clock.Now(c.o.Clock))
	m.Details = details(i)
	return m.Bounded()
}

func kind(i *incident.Incident, d *incident.Delivery) notify.Kind {
	switch {
	case i.State == incident.Resolved:
		return notify.Resolve
	case d.Repeat > 0:
		return notify.Reminder
	}
	return notify.Trigger
}

// summary says in a few lines what a person needs first: what it is, since when, what was tried, why it is theirs.
func summary(i *incident.Incident, k notify.Kind, now clock.Stamp) string {
	var b strings.Builder
	age := i.Opened.Age(now).Round(time.Second)
	if k == notify.Resolve {
		age = i.Opened.Age(i.Ended).Round(time.Second)
		fmt.Fprintf(&b, "Resolved after %v: %s.\n", age, strings.TrimSuffix(i.End, "."))
	} else {
		fmt.Fprintf(&b, "Open for %v. %s\n", age, i.Escalate.Reason)
	}
	for _, a := range i.Alerts {
		state := "fires"
		if !a.Resolved.IsZero() {
			state = "fired"
		}
		fmt.Fprintf(&b, "%s %s for %s: %s%s\n", a.Rule, state, a.Instance, a.Condition, values(a.Values))
	}
	fmt.Fprintf(&b, "Attempts: %d. The whole story: salve agent explain %s", len(i.Attempts), i.ID)
	return b.String()
}

func values(list []incident.Value) string {
	if len(list) == 0 {
		return ""
	}
	parts := make([]string, len(list))
	for n, v := range list {
		parts[n] = v.Signal + " = " + v.Text
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// details are the timeline and then the evidence; what is too much is cut at the end by the bounds of a message.
func details(i *incident.Incident) string {
	var b strings.Builder
	for n, e := range i.Timeline {
		if len(i.Timeline) > firstEvents+lastEvents && n >= firstEvents && n < len(i.Timeline)-lastEvents {
			if n == firstEvents {
				fmt.Fprintf(&b, "… %d events left out …\n", len(i.Timeline)-firstEvents-lastEvents)
			}
			continue
		}
		fmt.Fprintf(&b, "%s  %-8s  %s\n", e.At.Wall.Format("2006-01-02 15:04:05.000 -0700"), e.Type, e.Text)
	}
	for _, e := range i.Evidence {
		fmt.Fprintf(&b, "\n=== %s (%s)\n%s\n", e.Title, e.At.Wall.Format("15:04:05"), strings.TrimRight(e.Text, "\n"))
	}
	return b.String()
}
