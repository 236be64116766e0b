package heal

import (
	"fmt"

	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
)

// halts lets actions under way begin no further part that a person does not want any more. The part that runs comes to its
// safe end.
func (e *Engine) halts() {
	for _, s := range e.openStories() {
		r := s.run
		if r == nil || r.cut == nil || r.halted || r.remedy.Kind.OnHost() { // a host that goes down has no parts
			continue
		}
		f := healing.Facts{Alert: healing.Alert{Service: r.remedy.Owner()}, Incident: care.Story(s.Incident),
			Pauses: e.allPauses(), Windows: e.allWindows()}
		services := e.owners(r.attempt.Locks)
		why := healing.Halted(e.stamp(), &f, r.attempt, services)
		if why == "" && r.attempt.By == incident.ByRule {
			why = e.taken(s, r.remedy.Kind, services)
		}
		switch {
		case why != "":
			e.halt(r, why)
		case s.ending:
			e.halt(r, "a person ended the incident")
		}
	}
}

// halt tells an action that is under way, if it is, and says so.
func (e *Engine) halt(r *run, why string) {
	if r.cut == nil || r.halted {
		return
	}
	r.halted = true
	close(r.halt)
	e.note(r.story, incident.EvDecide, fmt.Sprintf("%s begins no further part: %s", r.remedy.Name, why),
		map[string]string{"attempt": r.attempt.ID})
}
