package state

import (
	"slices"
	"time"

	"github.com/salveops/salve/proto/logpb"
)

// maxChanges is how many changes are kept.
const maxChanges = 1000

// blameWithin is how long before an incident a change may be its cause.
const blameWithin = 600e9

// recordChange notes what somebody or something changed, which may explain an incident.
func (s *State) recordChange(c *logpb.RecordChange) *logpb.Result {
	from := c.GetChange()
	if from.GetText() == "" && from.GetKind() == "" {
		return refuse("change", "a change says what it is")
	}
	x := &logpb.Change{
		Id: s.nextID("change"), Service: clip(from.GetService(), maxName), Host: clip(from.GetHost(), maxName),
		Kind: clip(from.GetKind(), maxName), Text: clip(from.GetText(), maxText), By: clip(from.GetBy(), maxName),
		At: s.now(),
	}
	s.changes[x.GetId()] = x
	s.note(x.GetBy(), "change", "%s: %s", x.GetId(), changeText(x))
	if len(s.changes) > maxChanges {
		oldest := s.Changes()[maxChanges]
		delete(s.changes, oldest.GetId())
	}
	for _, i := range s.ongoing() {
		for _, a := range s.derived.members[i.GetId()] {
			if s.now()-i.GetOpened() <= blameWithin && s.explains(x, a) {
				s.line(i, "diagnose", "just now: %s", changeText(x))
				break
			}
		}
	}
	return &logpb.Result{What: &logpb.Result_Id{Id: x.GetId()}}
}

// blame notes in a new incident what was changed just before.
func (s *State) blame(i *logpb.Incident, a *logpb.Alert) {
	for _, x := range slices.Backward(s.Changes()) {
		if ago := s.now() - x.GetAt(); ago <= blameWithin && s.explains(x, a) {
			s.line(i, "diagnose", "%v before: %s", time.Duration(ago).Round(time.Second), changeText(x))
		}
	}
}

// explains reports whether a change is about the service or the host of an alert. One that names neither
// is about everything.
func (s *State) explains(x *logpb.Change, a *logpb.Alert) bool {
	if x.GetService() == "" && x.GetHost() == "" {
		return true
	}
	host := a.GetKey().GetHost()
	return x.GetService() != "" && x.GetService() == a.GetService() ||
		x.GetHost() != "" && (x.GetHost() == host || x.GetHost() == s.name(host))
}

func changeText(x *logpb.Change) string {
	text := x.GetKind()
	if x.GetService() != "" {
		text += " of " + x.GetService()
	}
	if x.GetHost() != "" {
		text += " on " + x.GetHost()
	}
	if x.GetBy() != "" {
		text += " by " + x.GetBy()
	}
	if x.GetText() != "" {
		text += ": " + x.GetText()
	}
	return text
}

// Changes are those that are kept, newest first; not to be changed.
func (s *State) Changes() []*logpb.Change {
	return sorted(s.changes, func(a, b string) int { return compareIDs(b, a) })
}
