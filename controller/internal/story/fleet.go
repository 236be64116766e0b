package story

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// OfFleet is an incident as the controller remembers it, from all hosts.
func OfFleet(r *adminpb.GetIncidentResponse) Tale {
	i := r.GetIncident()
	t := Tale{
		Tool: "salve", Fleet: true, ID: i.GetId(), Aliases: r.GetAliases(), Service: i.GetService(), Title: i.GetTitle(),
		Severity: i.GetSeverity(), State: StateName(i.GetState()), Opened: instant(i.GetOpened()), End: i.GetEnd(),
		AckBy: i.GetAckBy(), Keep: i.GetKeepHealing(), Common: i.GetCommonCause(),
		Dropped: int(i.GetDropped()), Forgotten: int(i.GetForgotten()),
		Escalation: Escalation{Reason: i.GetReason(), Told: i.GetTold(), Due: instant(i.GetDue())},
	}
	names := map[string]string{}
	for _, a := range r.GetAlerts() {
		t.Alerts = append(t.Alerts, alertOfFleet(a))
		names[a.GetKey().GetHost()] = a.GetHostName()
	}
	for _, e := range i.GetTimeline() {
		if e.GetHostName() != "" {
			names[e.GetHost()] = e.GetHostName()
		}
	}
	t.Timeline, t.Clocks = inOrder(i.GetTimeline(), t.Opened)
	t.Attempts = attemptsIn(t.Timeline)
	t.measure(i)
	for _, p := range r.GetPermits() {
		t.Permits = append(t.Permits, Permit{
			Token: Token(p.GetToken()), Host: nameOf(names, p.GetHost()), Remedy: p.GetRemedy(), Unit: p.GetUnit(),
			Granted: instant(p.GetGranted()), Unknown: p.GetUnknown(), Overdue: p.GetOverdue(), Revoked: p.GetRevoked(),
		})
	}
	for _, d := range r.GetDeliveries() {
		t.Messages = append(t.Messages, Message{
			At: instant(d.GetMade()), To: d.GetNotifier(), Kind: d.GetKind(), State: deliveryName(d.GetState()),
			Tries: int(d.GetTries()), Error: d.GetError(),
		})
	}
	slices.SortStableFunc(t.Messages, func(a, b Message) int { return a.At.Compare(b.At) })
	for _, e := range i.GetEvidence() {
		t.Evidence = append(t.Evidence, Evidence{
			Host: nameOf(names, e.GetHost()), Title: e.GetTitle(), Size: int(e.GetSize()),
		})
	}
	return t
}

// measure says how fast it was, as far as the timeline tells.
func (t *Tale) measure(i *logpb.Incident) {
	if i.GetEnded() > 0 {
		total := time.Duration(i.GetEnded() - i.GetOpened())
		t.Total = &total
	}
	for _, a := range t.Attempts {
		if t.Act == nil && a.Offset != nil && a.Act != nil {
			act := *a.Offset + *a.Act
			t.Act = &act
		}
		if a.Verify != nil {
			t.Verify = a.Verify
		}
	}
	if t.Act == nil && i.GetActed() > 0 { // the lines that told of it are no longer kept
		act := time.Duration(i.GetActed() - i.GetOpened())
		t.Act = &act
	}
}

func alertOfFleet(a *logpb.Alert) Alert {
	return Alert{
		Host: a.GetHostName(), Rule: a.GetRule(), Severity: a.GetSeverity(), Instance: a.GetInstance(),
		Condition: a.GetCondition(), Fired: instant(a.GetFired()), Resolved: instant(a.GetResolved()),
		Values: a.GetValues(), Blind: a.GetBlind(), Muted: a.GetMuted(),
	}
}

func eventOfFleet(e *logpb.TimelineEvent) Event {
	host := e.GetHostName()
	if host == "" {
		host = e.GetHost()
	}
	out := Event{At: instant(e.GetAt()), Host: host, Type: e.GetType(), Text: e.GetText()}
	for _, l := range e.GetFields() {
		if out.Fields == nil {
			out.Fields = map[string]string{}
		}
		out.Fields[l.GetName()] = l.GetValue()
	}
	return out
}

// offClock is from where on a host's clock is said to differ.
const offClock = 2 * time.Second

// inOrder puts the events of several hosts in the order in which they happened. Lines come late when a
// host was cut off, and the hosts' clocks may differ; so each host's own times are moved by the least
// difference that was seen between its clock and the arrival of a line. What differs much is said. A host
// tells its lines in order, so none is before the one that it told before, whatever its clock did.
func inOrder(events []*logpb.TimelineEvent, opened time.Time) (out []Event, notes []string) {
	least := map[string]int64{}
	for _, e := range events {
		d := e.GetAt() - e.GetHostAt()
		if have, ok := least[e.GetHost()]; e.GetHostAt() != 0 && (!ok || d < have) {
			least[e.GetHost()] = d
		}
	}
	said, last := map[string]bool{}, map[string]int64{}
	for _, e := range events {
		ev := eventOfFleet(e)
		if e.GetHostAt() != 0 {
			d := least[e.GetHost()]
			last[e.GetHost()] = max(last[e.GetHost()], e.GetHostAt()+d)
			ev.At = instant(last[e.GetHost()])
			if !said[e.GetHost()] && time.Duration(d).Abs() >= offClock {
				said[e.GetHost()] = true
				notes = append(notes, clockNote(ev.Host, time.Duration(d)))
			}
		}
		offset := ev.At.Sub(opened)
		ev.Offset = &offset
		out = append(out, ev)
	}
	slices.SortStableFunc(out, func(a, b Event) int { return a.At.Compare(b.At) })
	return out, notes
}

func clockNote(host string, d time.Duration) string {
	if d < 0 {
		return fmt.Sprintf("the clock of %s is %s ahead; its times are corrected", host, Length(-d))
	}
	return fmt.Sprintf("every line of %s came %s late, or its clock is behind; its times are those of arrival",
		host, Length(d))
}

// Token is a token as people write it: the count, and the beginning of the generation.
func Token(t *logpb.Token) string { return fmt.Sprintf("%d@%.8s", t.GetN(), t.GetGeneration()) }

// StateName is the state of an incident as people write it.
func StateName(s logpb.IncidentState) string { return word(s.String(), "INCIDENT_STATE_") }

func deliveryName(s logpb.DeliveryState) string { return word(s.String(), "DELIVERY_STATE_") }

// word is the value of an enumeration in small letters.
func word(value, prefix string) string { return strings.ToLower(strings.TrimPrefix(value, prefix)) }

func nameOf(names map[string]string, host string) string {
	if n := names[host]; n != "" {
		return n
	}
	return host[:min(12, len(host))]
}

// instant is a time of the log, zero if it never was.
func instant(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
