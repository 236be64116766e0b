package heal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
)

const (
	retryRefused = time.Second      // until a refused remedy's alert is decided about again; doubles each time
	retryLongest = 30 * time.Second // but is never longer
)

// onAlert takes what the rule engine says.
func (e *Engine) onAlert(ctx context.Context, ev rule.Event) {
	switch ev.Kind {
	case rule.Fired, rule.Blind:
		s, p := e.admit(ev)
		e.collect(ctx, s, unitOf(ev.Alert))
		e.decide(ctx, s, p)
	case rule.Resolved:
		e.discharge(ev, false)
	case rule.BlindEnd:
		if !ev.Alert.State.Active() {
			e.discharge(ev, false)
		}
	case rule.Flapping, rule.FlappingEnd:
		e.flap(ctx, ev)
	}
}

// flap records that an alert began or ended to come and go.
func (e *Engine) flap(ctx context.Context, ev rule.Event) {
	s := e.services[care.Service(ev.Alert)]
	if s == nil {
		return
	}
	text := fmt.Sprintf("%s is flapping for %s", ev.Alert.Rule.Name, care.Subject(ev.Alert))
	if ev.Kind == rule.FlappingEnd {
		text = fmt.Sprintf("%s is no longer flapping for %s", ev.Alert.Rule.Name, care.Subject(ev.Alert))
	}
	e.note(s, incident.EvAlert, text, map[string]string{"rule": ev.Alert.Rule.Name})
	if p := s.patients[idOf(ev.Alert)]; p != nil {
		e.decide(ctx, s, p)
	}
	e.closeIfQuiet(s)
}

// decide asks the pure function about one alert and does what it says.
func (e *Engine) decide(ctx context.Context, s *story, p *patient) {
	if s.run != nil {
		p.due = 0 // its end decides anew
		return
	}
	for {
		f := e.facts(s, p)
		d := healing.Decide(e.stamp(), f)
		if d.Verdict != healing.Act && e.queue.Take(&f, d) { // one that acts has its place until it has its locks
			e.nextTurn()
		}
		e.record(s, p, d)
		p.due = e.o.Clock.Now().Boot + care.Again(d)
		e.wakeAt(p.due)
		switch d.Verdict {
		case healing.Act:
			p.due = 0 // its end decides anew, and at once
			e.begin(ctx, s, p, e.remedyOf(s.Service, d.Remedy), d)
			return
		case healing.Observe:
			p.would, s.WouldHave = d.Remedy, d.Remedy
			return
		case healing.Escalate:
			e.handOver(s, d.Reason)
			if s.Escalate.Since.IsZero() {
				return // it has ended
			}
		default:
			return
		}
	}
}

// record writes a decision into the timeline, once while it stands.
func (e *Engine) record(s *story, p *patient, d healing.Decision) {
	key := care.Topic(d)
	if d.Verdict == healing.Nothing || p.said == key && d.Verdict != healing.Act || p.still(d) {
		return
	}
	p.said = key
	fields := map[string]string{"verdict": string(d.Verdict), "rule": p.live.Rule.Name}
	if d.Remedy != "" {
		fields["remedy"] = d.Remedy
	}
	if d.Guard != healing.Clear {
		fields["guard"] = string(d.Guard)
	}
	if len(d.Candidates) > 0 {
		fields["candidates"] = candidates(d.Candidates)
	}
	e.note(s, incident.EvDecide, d.Reason, fields)
}

// candidates are the choices of a decision, one a line.
func candidates(choices []healing.Choice) string {
	lines := make([]string, len(choices))
	for i, c := range choices {
		lines[i] = fmt.Sprintf("%s (confidence %.0f %%): %s", c.Remedy, 100*c.Confidence, c.Reason)
	}
	return strings.Join(lines, "\n")
}

// confirm asks again just before acting, on the facts of that moment.
func (e *Engine) confirm(r *run) healing.Decision {
	if e.stopping {
		return healing.Decision{Verdict: healing.Hold, Guard: healing.Shutdown, Reason: "the agent is stopping"}
	}
	if r.patient == nil {
		return healing.Request(e.stamp(), e.requestFacts(r.remedy, r.request.Unit, r.story, r.attempt.ID), r.remedy.Name)
	}
	p := r.story.patients[idOf(r.patient.live)]
	if p == nil {
		return healing.Decision{Verdict: healing.Nothing, Guard: healing.Recovered, Reason: "the alert has resolved"}
	}
	facts := e.facts(r.story, p)
	if !r.yielded {
		facts.Ahead = nil // who came since waits for this one
	}
	if r.attempt.By != incident.ByRule {
		return healing.Request(e.stamp(), facts, r.remedy.Name)
	}
	d := healing.Confirm(e.stamp(), facts, r.remedy.Name, r.attempt.ID)
	if d.Verdict != healing.Act {
		e.queue.Take(&facts, d)
	}
	return d
}

// refuse remembers what the precheck said. A no for good is asked for again when the unit changes. What could not be
// known is waited for, and then passed over. It returns the reason in words, and whether it was said before.
func (p *patient) refuse(remedy string, why *kind.Refusal, now time.Duration) (text string, said bool) {
	if !why.Unknown {
		delete(p.doubts, remedy)
	}
	switch {
	case why.Unknown:
		return p.doubt(remedy, why.Reason, now)
	case !why.Temporary:
		if p.refused == nil {
			p.refused = make(map[string]string)
		}
		p.refused[remedy] = why.Reason
	}
	return why.Reason, false
}

// doubt is a remedy whose precheck could not find out what it must know.
type doubt struct {
	reason, text string
	since, asked time.Duration // when it was asked for first, and last
	until        time.Duration // passed over until then, and asked for again; 0: it is waited for
}

// doubt waits for what could not be known, so that nothing harsher runs because of a moment's silence, and after
// UnknownWait lets the next candidate have its turn. It is asked for again from time to time. Two moments with a pause
// between them, in which nobody asked, are no long silence.
func (p *patient) doubt(remedy, reason string, now time.Duration) (text string, said bool) {
	d, known := p.doubts[remedy]
	said = known && d.reason == reason
	if !known || d.until == 0 && now-d.asked > defaults.UnknownWait {
		d.since = now
	}
	d.reason, d.text, d.asked = reason, reason, now
	if waited := now - d.since; waited >= defaults.UnknownWait {
		said = said && d.until > 0
		d.until, p.wait = now+defaults.UnknownWait, 0
		d.text = fmt.Sprintf("%s, for %s; it is passed over", reason, waited.Round(time.Second))
	}
	if p.doubts == nil {
		p.doubts = make(map[string]doubt)
	}
	p.doubts[remedy] = d
	return d.text, said
}

// refusal is why the precheck would not let the remedy run, "" if it may be asked.
func (p *patient) refusal(remedy string, now time.Duration) string {
	if d := p.doubts[remedy]; now < d.until {
		return d.text
	}
	return p.refused[remedy]
}

// forgive lets what was refused be asked again: the facts changed.
func (p *patient) forgive() {
	p.refused, p.wait = nil, 0
	maps.DeleteFunc(p.denied, func(_ string, d denial) bool { return !d.firm })
}

// denial is why the controller must not be asked for the remedy now, and for how long; 0 with a reason: nobody
// knows.
func (p *patient) denial(remedy string, now time.Duration) (why string, left time.Duration) {
	d, ok := p.denied[remedy]
	switch {
	case !ok:
		return "", 0
	case d.until <= now:
		delete(p.denied, remedy)
		return "", 0
	case d.holds:
		return d.text, 0
	}
	return d.text, d.until - now
}

// still reports whether a decision says nothing new: the controller or the precheck is asked again, and its answer
// was the same the last time.
func (p *patient) still(d healing.Decision) bool {
	switch {
	case d.Verdict == healing.Act:
		_, asked := p.doubts[d.Remedy]
		return p.turned || asked
	case d.Guard == healing.NoPermit && d.Reason == p.noLeave:
		return true
	case d.Guard == healing.NoPermit:
		p.noLeave = d.Reason
	default:
		p.noLeave, p.turned = "", false
	}
	return false
}

// retry is how long until a remedy that could not begin is tried again: longer each time, so that an
// unwritable journal is not asked for ever at the same pace.
func (p *patient) retry() time.Duration {
	p.wait = min(max(2*p.wait, retryRefused), retryLongest)
	return p.wait
}

// judgeDue decides about the alerts whose time has come.
func (e *Engine) judgeDue(ctx context.Context) {
	now := e.o.Clock.Now().Boot
	e.next = 0
	for _, s := range e.openStories() {
		for _, p := range s.ordered() {
			if p.due > 0 && p.due <= now {
				e.decide(ctx, s, p)
			}
			if p.due > 0 {
				e.wakeAt(p.due)
			}
		}
		e.climb(s)
	}
}

// wakeAt makes the loop look at what is due not later than at.
func (e *Engine) wakeAt(at time.Duration) {
	if at > 0 && (e.next == 0 || at < e.next) {
		e.next = at
	}
}

// reconsider decides anew about every alert that the unit has to do with: its facts changed.
func (e *Engine) reconsider(ctx context.Context, unit string) {
	for _, s := range e.openStories() {
		for _, p := range s.ordered() {
			if unitOf(p.live) == unit {
				p.forgive()
				e.decide(ctx, s, p)
			}
		}
	}
}

// rethink decides anew about every alert: a person changed what decisions look at.
func (e *Engine) rethink() {
	now := e.o.Clock.Now().Boot
	for _, s := range e.stories {
		for _, p := range s.patients {
			p.due = now
			p.forgive()
		}
	}
	e.wakeAt(now)
}

// unmute decides anew about the services that waited for the dependency, and about itself.
func (e *Engine) unmute(dependency string) {
	for _, s := range e.openStories() {
		for _, p := range s.ordered() {
			if svc := p.live.Service; svc != nil && (svc.Name == dependency || slices.Contains(svc.DependsOn, dependency)) {
				p.due = e.o.Clock.Now().Boot
				e.wakeAt(p.due)
			}
		}
	}
}
