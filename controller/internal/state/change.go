package state

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

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
	x := s.change(from)
	x.Host, x.At = clip(from.GetHost(), maxName), s.now()
	s.note(x.GetBy(), "change", "%s: %s", x.GetId(), s.changeText(x))
	s.explain(x)
	s.bindChange(x)
	return &logpb.Result{What: &logpb.Result_Id{Id: x.GetId()}}
}

// noticed enters what a host noticed, or what was recorded there. What is told again is known; what is new of it counts.
// One without a name is not entered: it would take the place of any that was recorded here of the host, on each
// replica of another one.
func (s *State) noticed(h *logpb.Host, c *logpb.LocalChange) {
	from, local := c.GetChange(), clip(c.GetLocal(), maxName)
	if local == "" {
		return
	}
	for _, x := range s.changes {
		if x.GetHost() == h.GetId() && x.GetLocal() == local {
			if x.GetText() == clip(from.GetText(), maxText) {
				return
			}
			delete(s.changes, x.GetId())
			break
		}
	}
	x := s.change(from)
	x.Host, x.Local, x.At = h.GetId(), local, s.now()
	if at := c.GetHostAt(); 0 < at && at < x.GetAt() {
		x.At = at
	}
	s.explain(x)
}

// change makes a record of what is told, and keeps it. The oldest gives way.
func (s *State) change(from *logpb.Change) *logpb.Change {
	x := &logpb.Change{
		Id: s.nextID("change"), Service: clip(from.GetService(), maxName), Kind: clip(from.GetKind(), maxName),
		Text: clip(from.GetText(), maxText), By: clip(from.GetBy(), maxName),
	}
	s.changes[x.GetId()] = x
	if len(s.changes) > maxChanges {
		oldest := s.Changes()[maxChanges]
		delete(s.changes, oldest.GetId())
	}
	return x
}

// explain notes a change in the incidents that have just begun.
func (s *State) explain(x *logpb.Change) {
	for _, i := range s.ongoing() {
		for _, a := range s.derived.members[i.GetId()] {
			if s.now()-i.GetOpened() <= blameWithin && s.explains(x, a) {
				s.line(i, "diagnose", "just now: %s", s.changeText(x))
				break
			}
		}
	}
}

// bindChange says that the hosts which a change concerns have to know it.
func (s *State) bindChange(x *logpb.Change) {
	for id, h := range s.hosts {
		if s.concernsHost(x, h) {
			s.bindHost(id)
		}
	}
}

// concernsHost reports whether a host has to know a change: one of it, or of a service of it on all hosts. It knows itself
// what it told.
func (s *State) concernsHost(x *logpb.Change, h *logpb.Host) bool {
	if host := x.GetHost(); host != "" && host != h.GetId() && host != h.GetName() || x.GetLocal() != "" {
		return false
	}
	return x.GetService() == "" || serviceOf(h, x.GetService()) != nil
}

// maxToldChanges is how many changes a host is told of.
const maxToldChanges = 32

// changesOf are the changes that a host has to know, the newest first.
func (s *State) changesOf(h *logpb.Host) []*logpb.Change {
	var out []*logpb.Change
	for _, x := range s.Changes() {
		if len(out) < maxToldChanges && s.concernsHost(x, h) {
			out = append(out, proto.CloneOf(x))
		}
	}
	return out
}

// blame notes in a new incident what was changed just before.
func (s *State) blame(i *logpb.Incident, a *logpb.Alert) {
	for _, x := range slices.Backward(s.Changes()) {
		if ago := s.now() - x.GetAt(); ago <= blameWithin && s.explains(x, a) {
			s.line(i, "diagnose", "%v before: %s", time.Duration(ago).Round(time.Second), s.changeText(x))
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

func (s *State) changeText(x *logpb.Change) string {
	text := x.GetKind()
	if x.GetService() != "" {
		text += " of " + x.GetService()
	}
	if x.GetHost() != "" {
		text += " on " + s.name(x.GetHost())
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
