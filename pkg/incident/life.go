package incident

import (
	"errors"
	"fmt"
	"slices"

	"github.com/salveops/salve/pkg/clock"
)

// Why a transition is refused.
var (
	ErrEnded     = errors.New("incident has ended")
	ErrFiring    = errors.New("an alert of the incident still fires")
	ErrNotAcked  = errors.New("nobody acknowledged the incident")
	ErrNobody    = errors.New("the name of the person is missing")
	ErrNoAlert   = errors.New("incident has no such alert")
	ErrDuplicate = errors.New("incident has that alert already")
)

// New opens an incident with its first alert.
func New(generation string, first Alert, title string) *Incident {
	return &Incident{
		ID: ID(generation, first.Key), Service: first.Service, Title: title, State: Open,
		Severity: first.Severity, Opened: first.Fired, Alerts: []Alert{first},
	}
}

// Join adds an alert. The incident becomes as grave as its gravest alert.
func (i *Incident) Join(a Alert) error {
	if i.State == Resolved {
		return ErrEnded
	}
	if i.alert(a.Key) != nil {
		return fmt.Errorf("%w: %s/%s/%d", ErrDuplicate, a.Key.Host, a.Key.Stream, a.Key.N)
	}
	if len(i.Alerts) >= MaxAlerts {
		i.forget()
	}
	i.Alerts = append(i.Alerts, a)
	if rank(a.Severity) > rank(i.Severity) {
		i.Severity = a.Severity
	}
	return nil
}

// forget drops the oldest resolved alert; if all still fire, the second, because the first names the
// incident.
func (i *Incident) forget() {
	at := slices.IndexFunc(i.Alerts, func(a Alert) bool { return !a.Resolved.IsZero() })
	i.Alerts = slices.Delete(i.Alerts, max(1, at), max(1, at)+1)
	i.Forgotten++
}

// Clear marks an alert as resolved.
func (i *Incident) Clear(k AlertKey, at clock.Stamp) error {
	a := i.alert(k)
	if a == nil {
		return ErrNoAlert
	}
	if a.Resolved.IsZero() {
		a.Resolved = at
	}
	return nil
}

// Quiet reports whether no alert of the incident fires any more.
func (i *Incident) Quiet() bool {
	return !slices.ContainsFunc(i.Alerts, func(a Alert) bool { return a.Resolved.IsZero() })
}

func (i *Incident) alert(k AlertKey) *Alert {
	at := slices.IndexFunc(i.Alerts, func(a Alert) bool { return a.Key == k })
	if at < 0 {
		return nil
	}
	return &i.Alerts[at]
}

// Append adds an event to the timeline. Beyond MaxTimeline the beginning and the newest are kept.
func (i *Incident) Append(e Event) {
	if len(i.Timeline) >= MaxTimeline {
		i.Timeline = slices.Delete(i.Timeline, KeepFirst, KeepFirst+1)
		i.Dropped++
	}
	i.Timeline = append(i.Timeline, e)
}

// Heal says that an attempt is under way or waits its turn. People who were told keep the incident.
func (i *Incident) Heal() error {
	if i.State == Resolved {
		return ErrEnded
	}
	if i.State == Open {
		i.State = Healing
	}
	return nil
}

// HandOver hands the incident to people along the escalation named to. Whoever has it already keeps
// it: then only the reason is new.
func (i *Incident) HandOver(at clock.Stamp, to, reason string) error {
	if i.State == Resolved {
		return ErrEnded
	}
	i.Escalate.Reason = reason
	if i.Escalate.Since.IsZero() {
		i.Escalate.To, i.Escalate.Since, i.Escalate.Due = to, at, at
	}
	if i.State != Acknowledged {
		i.State = Escalated
	}
	return nil
}

// Acknowledge says that a person has it: the climb stops, and so do new remedies unless keep.
func (i *Incident) Acknowledge(by string, keep bool) error {
	switch {
	case i.State == Resolved:
		return ErrEnded
	case by == "":
		return ErrNobody
	}
	i.State, i.AckBy, i.Keep = Acknowledged, by, keep
	return nil
}

// Release hands the incident back to the automation: what was tried before is forgiven, and a climb
// that had begun goes on.
func (i *Incident) Release(at clock.Stamp, by string) error {
	switch {
	case i.State == Resolved:
		return ErrEnded
	case by == "":
		return ErrNobody
	case i.State != Acknowledged && i.State != Escalated:
		return ErrNotAcked
	}
	i.State = Open
	if !i.Escalate.Since.IsZero() {
		i.State = Escalated
	}
	i.AckBy, i.Keep, i.Released = "", false, at
	return nil
}

// Resolve ends the incident. While an alert fires only a person, named by, may end it; its alerts then
// count as resolved with it.
func (i *Incident) Resolve(at clock.Stamp, by, how string) error {
	if i.State == Resolved {
		return ErrEnded
	}
	if !i.Quiet() {
		if by == "" {
			return ErrFiring
		}
		for n := range i.Alerts {
			if i.Alerts[n].Resolved.IsZero() {
				i.Alerts[n].Resolved = at
			}
		}
	}
	i.State, i.Ended, i.End = Resolved, at, how
	i.Escalate.Due = clock.Stamp{}
	return nil
}

// severities from mild to grave.
var severities = [...]string{"info", "warning", "critical"}

func rank(severity string) int { return slices.Index(severities[:], severity) }

// Graver reports whether severity a is graver than b.
func Graver(a, b string) bool { return rank(a) > rank(b) }
