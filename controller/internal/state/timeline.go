package state

import (
	"fmt"
	"slices"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// A timeline keeps its beginning, which tells how it started, and the newest. What is dropped is counted.

// line adds a sentence to a timeline.
func (s *State) line(i *logpb.Incident, kind, format string, args ...any) {
	s.add(i, &logpb.TimelineEvent{Type: kind, Text: fmt.Sprintf(format, args...)})
}

// lineOf adds a sentence about an alert.
func (s *State) lineOf(i *logpb.Incident, a *logpb.Alert, kind, text string) {
	s.add(i, &logpb.TimelineEvent{
		Type: kind, Text: text, HostAt: a.GetHostFired(), Host: a.GetKey().GetHost(), HostName: a.GetHostName(),
	})
}

func (s *State) add(i *logpb.Incident, e *logpb.TimelineEvent) {
	e.At, e.Text = s.at, clip(e.GetText(), maxText)
	if len(i.GetTimeline()) >= incident.MaxTimeline {
		i.Timeline = slices.Delete(i.GetTimeline(), incident.KeepFirst, incident.KeepFirst+1)
		i.Dropped++
	}
	i.Timeline = append(i.GetTimeline(), e)
}

// splice tells two stories as one, in the order of time.
func (s *State) splice(from, to *logpb.Incident) {
	all := slices.Concat(from.GetTimeline(), to.GetTimeline())
	slices.SortStableFunc(all, func(a, b *logpb.TimelineEvent) int {
		return compareNumbers(uint64(a.GetAt()), uint64(b.GetAt()))
	})
	to.Dropped += from.GetDropped()
	if over := len(all) - incident.MaxTimeline; over > 0 {
		all = slices.Delete(all, incident.KeepFirst, incident.KeepFirst+over)
		to.Dropped += uint32(over)
	}
	to.Timeline = all
	s.keepEvidence(to, from.GetEvidence())
}

// maxEvidence is how many pieces of evidence an incident names.
const maxEvidence = 100

// maxDigest is as long as digests get.
const maxDigest = 64

// keepEvidence adds references to pieces that lie beside the log. Each is named once.
func (s *State) keepEvidence(i *logpb.Incident, refs []*logpb.EvidenceRef) {
	for _, r := range refs {
		same := func(o *logpb.EvidenceRef) bool { return string(o.GetDigest()) == string(r.GetDigest()) }
		fits := len(r.GetDigest()) <= maxDigest && len(i.GetEvidence()) < maxEvidence
		if fits && !slices.ContainsFunc(i.GetEvidence(), same) {
			i.Evidence = append(i.GetEvidence(), r)
		}
	}
}

// tell adds a line to the incident of a permit, which it names as its agent does.
func (s *State) tell(p *logpb.Permit, kind, format string, args ...any) {
	i := s.byLocal(p.GetHost(), p.GetIncident())
	if i == nil {
		return
	}
	if s.permits[tokenOf(p.GetToken())] == p && kind == "permit" && !p.GetUndo() {
		heals(i)
	}
	s.add(i, &logpb.TimelineEvent{
		Type: kind, Text: fmt.Sprintf(format, args...), Host: p.GetHost(), HostName: s.name(p.GetHost()),
	})
}
