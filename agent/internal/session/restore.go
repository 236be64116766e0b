package session

import (
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
)

// Restore is what the attempts of earlier processes mean for their permits. Those whose record makes no sense are
// left out: the controller then asks about their tokens, and nothing is said to have been done.
func Restore(past []*incident.Attempt) []permit.Restored {
	out := make([]permit.Restored, 0, len(past))
	for _, a := range past {
		if a.Permit == nil || a.Permit.Check() != nil {
			continue
		}
		out = append(out, permit.Restored{Attempt: a.ID, Incident: a.Incident, Service: a.Service, Rule: a.Rule,
			Remedy: a.Remedy, Held: *a.Permit, Settlement: Settlement(a)})
	}
	return out
}

// Settlement is how an attempt ended, by its record; "": it has not. One that was verified has served again, also if it was
// taken back since because its time was over: whether it still does is another question.
func Settlement(a *incident.Attempt) permit.Settlement {
	switch a.Phase {
	case incident.Refused, incident.NotDone:
		return permit.Unused
	case incident.Unknown:
		return permit.Unknown
	case incident.Judged, incident.Undone:
		switch {
		case a.Outcome == incident.Verified:
			return permit.Serving
		case a.Outcome == incident.Inconclusive && a.Phase == incident.Judged:
			return permit.Unknown
		}
		return permit.Failed
	}
	return ""
}
