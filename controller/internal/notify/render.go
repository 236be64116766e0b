package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/controller/internal/story"
	pkgnotify "github.com/salveops/salve/pkg/notify"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// Of what is long the beginning and the newest are told.
const (
	firstEvents  = 20
	lastEvents   = 80
	maxAlerts    = 10 // in the summary
	maxTold      = 50 // alerts in the story
	maxHosts     = 3  // in the subject
	maxAttempts  = 5
	shortID      = 12
	maxErrorText = 400
)

// render writes the message of a delivery. False: it must not be sent any more, because the incident has ended
// meanwhile.
func (c *Courier) render(d *logpb.Delivery) (pkgnotify.Message, bool) {
	m := pkgnotify.Message{
		Key: d.GetKey(), Kind: pkgnotify.Kind(d.GetKind()), Incident: d.GetIncident(), Severity: "warning",
		Title: d.GetText(), Summary: d.GetText(), At: c.o.Clock.Now().Wall,
	}
	if name := state.Subject(d.GetKey()); name != d.GetIncident() {
		m.Dedup = name
	}
	facts, now := c.facts(d.GetIncident())
	i := facts.GetIncident()
	switch {
	case i == nil && d.GetIncident() == "":
		m.Host = "controller"
		return m.Bounded(), true
	case i == nil:
		m.Host, m.Title = "controller", "incident "+d.GetIncident()
		m.Summary = "It has ended; its record is no longer kept."
		return m.Bounded(), m.Kind == pkgnotify.Resolve
	}
	t := story.OfFleet(facts)
	m.Service, m.Severity, m.Title, m.Host = i.GetService(), i.GetSeverity(), i.GetTitle(), hosts(facts.GetAlerts())
	m.Summary = summary(i, &t, m.Kind, now)
	m.Details = details(t)
	ended := i.GetState() == logpb.IncidentState_INCIDENT_STATE_RESOLVED
	return m.Bounded(), !ended || m.Kind == pkgnotify.Resolve
}

// facts are what the log knows of an incident, as copies, and the log time.
func (c *Courier) facts(id string) (*adminpb.GetIncidentResponse, int64) {
	out, now := &adminpb.GetIncidentResponse{}, int64(0)
	c.o.Replica.View(func(s *state.State) {
		now = s.At()
		i := s.Incident(id)
		if i == nil {
			return
		}
		out.Incident, out.Aliases = proto.CloneOf(i), s.AliasesOf(i.GetId())
		alerts := s.AlertsOf(i.GetId())
		slices.SortStableFunc(alerts, func(a, b *logpb.Alert) int { return firing(b) - firing(a) }) // firing ones first
		for _, a := range alerts[:min(len(alerts), maxTold)] {
			out.Alerts = append(out.Alerts, proto.CloneOf(a))
		}
		for _, p := range s.PermitsOfIncident(i.GetId()) {
			out.Permits = append(out.Permits, proto.CloneOf(p))
		}
	})
	return out, now
}

func firing(a *logpb.Alert) int {
	if a.GetResolved() == 0 {
		return 1
	}
	return 0
}

// hosts names those that an incident is about.
func hosts(alerts []*logpb.Alert) string {
	var names []string
	for _, a := range alerts {
		if name := a.GetHostName(); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch {
	case len(names) == 0:
		return "controller"
	case len(names) > maxHosts:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxHosts], ", "), len(names)-maxHosts)
	}
	return strings.Join(names, ", ")
}

// summary says in a few lines what a person needs first: what it is, since when, what was tried, why it is theirs.
func summary(i *logpb.Incident, t *story.Tale, kind pkgnotify.Kind, now int64) string {
	var b strings.Builder
	if kind == pkgnotify.Resolve {
		fmt.Fprintf(&b, "Resolved after %s: %s.\n", story.Length(time.Duration(i.GetEnded()-i.GetOpened())),
			strings.TrimSuffix(i.GetEnd(), "."))
	} else {
		fmt.Fprintf(&b, "Open for %s. %s\n", story.Length(time.Duration(now-i.GetOpened())), i.GetReason())
	}
	for n, a := range t.Alerts {
		if n == maxAlerts {
			fmt.Fprintf(&b, "… and %d more\n", len(t.Alerts)-maxAlerts)
			break
		}
		fmt.Fprintln(&b, alertLine(a))
	}
	for _, a := range t.Attempts[max(0, len(t.Attempts)-maxAttempts):] {
		fmt.Fprintln(&b, attemptLine(a))
	}
	if len(t.Attempts) == 0 {
		b.WriteString("Nothing was tried.\n")
	}
	fmt.Fprintf(&b, "The whole story: salve explain %.*s", shortID, i.GetId())
	return b.String()
}

func alertLine(a story.Alert) string {
	fires := "fires"
	if !a.Resolved.IsZero() {
		fires = "fired"
	}
	line := fmt.Sprintf("%s %s on %s", a.Rule, fires, a.Host)
	if a.Instance != "" {
		line += " for " + a.Instance
	}
	if a.Condition != "" {
		line += ": " + a.Condition
	}
	if len(a.Values) > 0 {
		line += " (" + strings.Join(a.Values, ", ") + ")"
	}
	return line
}

func attemptLine(a *story.Attempt) string {
	became := "no verdict yet"
	switch {
	case a.Outcome != "":
		became = a.Outcome
	case a.Error != "":
		became = a.Error
	}
	line := fmt.Sprintf("Tried %s on %s: %s", a.Remedy, a.Host, became)
	if a.Reason != "" {
		line += " (" + a.Reason + ")"
	}
	return line
}

// details are the story; what is too much is cut at the end by the bounds of a message, so the middle of a long
// timeline is left out before.
func details(t story.Tale) string {
	if n := len(t.Timeline); n > firstEvents+lastEvents {
		gap := story.Event{At: t.Timeline[firstEvents].At, Offset: t.Timeline[firstEvents].Offset, Type: "…",
			Text: fmt.Sprintf("%d events are left out here", n-firstEvents-lastEvents)}
		t.Timeline = slices.Concat(t.Timeline[:firstEvents], []story.Event{gap}, t.Timeline[n-lastEvents:])
	}
	var b strings.Builder
	story.Write(&b, t, story.Options{})
	return b.String()
}

// printable makes an error fit for the log: valid and short.
func printable(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= maxErrorText {
		return s
	}
	return strings.ToValidUTF8(s[:maxErrorText], "") + " […]"
}
