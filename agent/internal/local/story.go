package local

import (
	"fmt"
	"strings"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/localpb"
)

// summaryPB is an incident in one line, with the times that say how well it was healed.
func summaryPB(s Story) *localpb.IncidentSummary {
	out := &localpb.IncidentSummary{
		Id:          s.ID,
		Service:     s.Service,
		Title:       s.Title,
		State:       string(s.State),
		Severity:    s.Severity,
		Opened:      stampPB(s.Opened),
		Ended:       stampPB(s.Ended),
		End:         s.End,
		Alerts:      uint32(len(s.Alerts) + s.Forgotten),
		Attempts:    uint32(max(len(s.Attempts), len(s.Runs))),
		AckBy:       s.AckBy,
		KeepHealing: s.Keep,
		Detect:      between(s.Began, s.fired()),
		Total:       between(s.fired(), s.Ended),
	}
	if first, last := s.acts(); first != nil {
		out.Act = between(s.fired(), first.Acted)
		out.Verify = between(last.Acted, last.Judged)
	}
	return out
}

// fired is when the first alert came; the incident's opening if that is not kept.
func (s Story) fired() clock.Stamp {
	if len(s.Alerts) > 0 {
		return s.Alerts[0].Fired
	}
	return s.Opened
}

// acts are the first and the last attempt that came to act, nil if none did.
func (s Story) acts() (first, last *incident.Attempt) {
	for i := range s.Runs {
		if a := &s.Runs[i]; !a.Acted.IsZero() {
			if first == nil {
				first = a
			}
			last = a
		}
	}
	return first, last
}

func incidentPB(s Story) *localpb.Incident {
	out := &localpb.Incident{
		Summary: summaryPB(s),
		Alerts: each(s.Alerts, func(a incident.Alert) *localpb.Alert {
			return storyAlertPB(a, s.ID)
		}),
		Timeline: each(s.Timeline, func(e incident.Event) *localpb.TimelineEvent {
			return eventPB(Event{Event: e, Incident: s.ID, Service: s.Service, Opened: s.Opened})
		}),
		Dropped: uint32(s.Dropped),
		Attempts: each(s.Runs, func(a incident.Attempt) *localpb.Attempt {
			return attemptPB(a, s.Opened)
		}),
		Evidence: each(s.Evidence, func(e incident.Evidence) *localpb.Evidence {
			return &localpb.Evidence{Title: e.Title, At: stampPB(e.At), Text: e.Text}
		}),
		WouldHave: s.WouldHave,
	}
	if e := s.Escalate; e.To != "" || !e.Since.IsZero() {
		out.Escalation = &localpb.Escalation{
			To:     e.To,
			Reason: e.Reason,
			Since:  stampPB(e.Since),
			Step:   uint32(e.Step),
			Due:    stampPB(e.Due),
			Told:   e.Told,
		}
	}
	return out
}

// storyAlertPB is an alert as a part of a story: it fires, or it is over.
func storyAlertPB(a incident.Alert, id string) *localpb.Alert {
	out := alertPB(a)
	out.Incident = id
	out.State, out.Since = "firing", out.GetFired()
	if !a.Resolved.IsZero() {
		out.State, out.Since = "resolved", out.GetResolved()
	}
	return out
}

func eventPB(e Event) *localpb.TimelineEvent {
	return &localpb.TimelineEvent{
		At:       stampPB(e.At),
		Offset:   between(e.Opened, e.At),
		Type:     string(e.Type),
		Text:     e.Text,
		Fields:   e.Fields,
		Incident: e.Incident,
		Service:  e.Service,
	}
}

// reasonOf is why an attempt ended as it did, and why what it did stays, if it does.
func reasonOf(a incident.Attempt) string {
	if a.Stays == "" || a.Phase == incident.Unknown { // the latter's reason says it
		return a.Reason
	}
	return strings.TrimPrefix(fmt.Sprintf("%s; it stays: %s", a.Reason, a.Stays), "; ")
}

func attemptPB(a incident.Attempt, opened clock.Stamp) *localpb.Attempt {
	return &localpb.Attempt{
		Id:       a.ID,
		Rule:     a.Rule,
		Remedy:   a.Remedy,
		Kind:     a.Kind,
		Target:   a.Target,
		By:       a.By,
		Phase:    string(a.Phase),
		Outcome:  string(a.Outcome),
		Reason:   reasonOf(a),
		Error:    a.Error,
		Intended: stampPB(a.Intended),
		Offset:   between(opened, a.Intended),
		Act:      between(a.Intended, a.Acted),
		Verify:   between(a.Acted, a.Judged),
		Undone:   a.Phase == incident.Undone,
		Before:   string(a.Before),
		After:    string(a.After),
	}
}
