package incident

import (
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/defaults"
)

// Delivery is one message to one step's notifiers.
type Delivery struct {
	Key    string // names this delivery for ever: sending it twice under the key does no harm
	Step   int    // rung, from 0
	Repeat int    // 0: the first message of the rung
	Notify []string
}

// Next says what is due of the climb, or when something will be. The rungs are climbed in order, each
// After counted from the message before it; the repeats of a rung come before the next rung. Nothing
// is due before HandOver, while a person has the incident, after its end, and after the last rung:
// then wait is 0.
func (i *Incident) Next(steps []config.Step, now clock.Stamp) (due *Delivery, wait time.Duration) {
	e := &i.Escalate
	if i.State != Escalated || e.Since.IsZero() {
		return nil, 0
	}
	step, repeat, after, ok := e.rung(steps)
	if !ok {
		return nil, 0
	}
	if left := e.left(after, now); left > 0 {
		return nil, left
	}
	return &Delivery{
		Key:  fmt.Sprintf("%s/%d/%d", i.ID, step, repeat),
		Step: step, Repeat: repeat, Notify: steps[step].Notify,
	}, 0
}

// rung is the message that comes next and how long after the one before.
func (e *Escalation) rung(steps []config.Step) (step, repeat int, after time.Duration, ok bool) {
	if before := e.Step - 1; before >= 0 && before < len(steps) && e.Repeat < steps[before].Repeat {
		return before, e.Repeat + 1, every(steps[before]), true
	}
	if e.Step >= len(steps) {
		return 0, 0, 0, false
	}
	return e.Step, 0, steps[e.Step].After, true
}

// every is the time between repeats. A rung that is climbed at once has no period of its own.
func every(s config.Step) time.Duration {
	if s.After > 0 {
		return s.After
	}
	return defaults.EscalateAfter
}

// left is how long until the next message. Across boots only the wall clock is left to count by; the
// wait is bounded by the rung's own, so that a clock that was set back silences nobody.
func (e *Escalation) left(after time.Duration, now clock.Stamp) time.Duration {
	if e.Step == 0 {
		return after - e.Since.Age(now)
	}
	if e.Due.BootID == now.BootID {
		return min(after, e.Due.Boot-now.Boot)
	}
	return min(after, e.Due.Wall.Sub(now.Wall))
}

// Took records, before it is sent, that the delivery is on its way: whoever may have got a trigger
// gets the resolve, too.
func (i *Incident) Took(d *Delivery, steps []config.Step, now clock.Stamp) {
	e := &i.Escalate
	e.Step, e.Repeat = d.Step+1, d.Repeat
	for _, id := range d.Notify {
		if !slices.Contains(e.Told, id) {
			e.Told = append(e.Told, id)
		}
	}
	e.Due = clock.Stamp{}
	if _, _, after, ok := e.rung(steps); ok {
		e.Due = clock.Stamp{Boot: now.Boot + after, BootID: now.BootID, Wall: now.Wall.Add(after)}
	}
}

// Skip goes to the next rung at once: every notifier of the last one refused for good.
func (i *Incident) Skip(steps []config.Step, now clock.Stamp) {
	e := &i.Escalate
	if before := e.Step - 1; before >= 0 && before < len(steps) {
		e.Repeat = steps[before].Repeat
	}
	if e.Step < len(steps) {
		e.Due = now
	}
}

// Farewell is the message that the incident has ended, to everyone who may have been told; nil while
// it goes on or if nobody was.
func (i *Incident) Farewell() *Delivery {
	if i.State != Resolved || len(i.Escalate.Told) == 0 {
		return nil
	}
	return &Delivery{Key: i.ID + "/resolved", Step: i.Escalate.Step, Notify: slices.Clone(i.Escalate.Told)}
}

// MaySend reports whether a delivery that waited, for a retry say, may still go out: after the end only
// the farewell does.
func (i *Incident) MaySend(d *Delivery) bool {
	return i.State != Resolved || d.Key == i.ID+"/resolved"
}
