package heal

import (
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/change"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// What is told of changes in an incident.
const (
	changesWithin = time.Hour        // in its evidence
	blameWithin   = 10 * time.Minute // in its timeline, as the controller does in its own
	maxChanges    = 10
	maxBlamed     = 3
)

// Changed takes a change that has become known, or of which something new is said. It may be called from any goroutine.
func (e *Engine) Changed(x change.Change) {
	e.post(func() {
		e.count(x)
		e.tellChange(x)
	})
}

// recoverChanges takes over what earlier processes knew, and what the controller told while none ran.
func (e *Engine) recoverChanges() {
	if e.o.Changes == nil {
		return
	}
	for _, x := range e.o.Changes.All() {
		e.count(x)
		e.tellChange(x)
	}
	e.learnChanges()
}

// count makes the signals about changes go by one more.
func (e *Engine) count(x change.Change) {
	now := e.stamp()
	e.changes.Note(x.Service, x.Kind, now.Boot-x.At.Age(now))
}

// learnChanges takes over what the controller tells of this host and its services.
func (e *Engine) learnChanges() {
	if e.fleet == nil || e.o.Changes == nil {
		return
	}
	now := e.o.Clock.Now()
	for _, c := range e.fleet.Orders.GetChanges() {
		ago := max(0, now.Wall.Sub(time.Unix(0, c.GetAt())))
		x, fresh := e.o.Changes.Learn(change.Change{
			Origin: e.fleet.Orders.GetGeneration() + "/" + c.GetId(), At: e.stampAt(now.Add(-ago)),
			Kind: c.GetKind(), Service: c.GetService(), Text: c.GetText(), By: c.GetBy(),
		})
		if fresh {
			e.count(x)
		}
	}
}

// tellChange tells the controller of a change, once. One of which more is to come waits for that; one that came from
// there goes not back.
func (e *Engine) tellChange(x change.Change) {
	if e.fleet == nil || x.Told || x.Open || x.Origin != "" {
		return
	}
	e.tell(&logpb.Event{What: &logpb.Event_Change{Change: &logpb.LocalChange{
		Local: e.o.Journal.Stream() + "/" + x.ID, HostAt: x.At.Wall.UnixNano(),
		Change: &logpb.Change{Kind: x.Kind, Service: x.Service, Text: x.Text, By: x.By},
	}}})
	if err := e.fleet.Events.Commit(); err != nil {
		e.log.Error("cannot journal what the controller is to be told of a change", "id", x.ID, "error", err)
		return // the next process tells it again
	}
	e.o.Changes.Told(x)
}

// changesBefore is what was changed before an incident of a service or, without one, of the host. The newest are said
// in the timeline as well.
func (e *Engine) changesBefore(s *story) (before incident.Evidence, any bool) {
	if e.o.Changes == nil {
		return before, false
	}
	now := e.stamp()
	near := change.Near(e.o.Changes.All(), s.Service, now, changesWithin)
	if len(near) == 0 {
		return before, false
	}
	var b strings.Builder
	for i, x := range near[:min(len(near), maxChanges)] {
		line := changeLine(x, now)
		fmt.Fprintln(&b, line)
		if i < maxBlamed && x.At.Age(now) <= blameWithin {
			e.noteHere(s, incident.EvDiagnose, line, nil)
		}
	}
	if more := len(near) - maxChanges; more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	return incident.Evidence{Title: "changes before", At: now, Text: b.String()}, true
}

// changeLine is a change as a story tells it: 4m0s before: package of shop by salve-agent: nginx 1.22.1-1 → 1.22.1-2.
func changeLine(x change.Change, now clock.Stamp) string {
	what := x.Kind
	if x.Service != "" {
		what += " of " + x.Service
	}
	if x.By != "" {
		what += " by " + x.By
	}
	return fmt.Sprintf("%v before: %s: %s", x.At.Age(now).Round(time.Second), what, x.Text)
}
