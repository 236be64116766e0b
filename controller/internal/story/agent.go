package story

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/salveops/salve/proto/localpb"
)

// OfAgent is an incident as the agent of one host remembers it.
func OfAgent(i *localpb.Incident) Tale {
	s := i.GetSummary()
	t := Tale{
		Tool: "salve agent",
		ID:   s.GetId(), Service: s.GetService(), Title: s.GetTitle(), Severity: s.GetSeverity(), State: s.GetState(),
		Opened: moment(s.GetOpened()), End: s.GetEnd(), AckBy: s.GetAckBy(), Keep: s.GetKeepHealing(),
		Detect: length(s.GetDetect()), Act: length(s.GetAct()), Verify: length(s.GetVerify()), Total: length(s.GetTotal()),
		Dropped: int(i.GetDropped()), WouldHave: i.GetWouldHave(),
		Escalation: Escalation{
			Reason: i.GetEscalation().GetReason(), Told: i.GetEscalation().GetTold(), Due: moment(i.GetEscalation().GetDue()),
		},
	}
	for _, a := range i.GetAlerts() {
		t.Alerts = append(t.Alerts, alertOfAgent(a))
	}
	for _, e := range i.GetTimeline() {
		t.Timeline = append(t.Timeline, eventOfAgent(e))
	}
	for _, a := range i.GetAttempts() {
		t.Attempts = append(t.Attempts, attemptOfAgent(a))
	}
	for _, e := range i.GetEvidence() {
		t.Evidence = append(t.Evidence, Evidence{
			Title: e.GetTitle(), At: moment(e.GetAt()), Text: e.GetText(), Size: len(e.GetText()),
		})
	}
	return t
}

func alertOfAgent(a *localpb.Alert) Alert {
	out := Alert{
		Rule: a.GetRule(), Severity: a.GetSeverity(), Instance: a.GetInstance(), Condition: a.GetCondition(),
		Fired: moment(a.GetFired()), Resolved: moment(a.GetResolved()), Blind: a.GetBlind(), Muted: a.GetMuted(),
	}
	for _, v := range a.GetValues() {
		out.Values = append(out.Values, v.GetSignal()+" = "+v.GetText())
	}
	return out
}

func eventOfAgent(e *localpb.TimelineEvent) Event {
	return Event{
		At: moment(e.GetAt()), Offset: length(e.GetOffset()), Service: e.GetService(), Incident: e.GetIncident(),
		Type: e.GetType(), Text: e.GetText(), Fields: e.GetFields(),
	}
}

func attemptOfAgent(a *localpb.Attempt) *Attempt {
	return &Attempt{
		ID: a.GetId(), Remedy: a.GetRemedy(), Kind: a.GetKind(), Target: a.GetTarget(), By: a.GetBy(),
		Phase: a.GetPhase(), Outcome: a.GetOutcome(), Reason: a.GetReason(), Error: a.GetError(),
		Offset: length(a.GetOffset()), Act: length(a.GetAct()), Verify: length(a.GetVerify()),
		Undone: a.GetUndone(), Before: a.GetBefore(), After: a.GetAfter(),
	}
}

func moment(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func length(d *durationpb.Duration) *time.Duration {
	if d == nil {
		return nil
	}
	l := d.AsDuration()
	return &l
}
