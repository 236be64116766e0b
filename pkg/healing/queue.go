package healing

import (
	"fmt"
	"slices"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Queue is who waits for what an attempt has on this host, who came first in front. The zero value is empty. Nobody in it
// holds anything, and an attempt that holds something waits for nothing, so that no two can wait for each other; and who
// comes later passes nobody that wants the same.
type Queue struct{ waiters []Waiter }

// Waiter is an alert whose remedy waits.
type Waiter struct {
	Incident, Rule, Instance string
	Remedy                   string
	Locks                    []remedy.Lock // all that the remedy needs: it gets them together, or none
}

// Take notes what was decided about an alert: one that is to wait for locks has a place, and keeps it for as long as it
// waits for the same ones; any other has none. It reports whether others may have their turn because of that.
func (q *Queue) Take(f *Facts, d Decision) (moved bool) {
	if len(d.Locks) > 0 {
		return q.Join(Waiter{f.Incident.ID, f.Alert.Rule, f.Alert.Instance, d.Waits, d.Locks})
	}
	return q.Leave(f.Incident.ID, f.Alert.Rule, f.Alert.Instance)
}

// Join gives an alert the last place, unless it has one for the same locks. It reports whether it has left another one.
func (q *Queue) Join(w Waiter) (moved bool) {
	if i := q.place(w.Incident, w.Rule, w.Instance); i >= 0 && slices.Equal(q.waiters[i].Locks, w.Locks) {
		q.waiters[i].Remedy = w.Remedy
		return false
	}
	moved = q.Leave(w.Incident, w.Rule, w.Instance)
	q.waiters = append(q.waiters, w)
	return moved
}

// Leave takes an alert out: it has ended, or its remedy has begun. It reports whether it was there.
func (q *Queue) Leave(incident, rule, instance string) bool {
	i := q.place(incident, rule, instance)
	if i >= 0 {
		q.waiters = slices.Delete(q.waiters, i, i+1)
	}
	return i >= 0
}

// Before are those who came before the alert, but for its own incident's; all if it does not wait.
func (q *Queue) Before(incident, rule, instance string) []Waiter {
	end := q.place(incident, rule, instance)
	if end < 0 {
		end = len(q.waiters)
	}
	return slices.DeleteFunc(slices.Clone(q.waiters[:end]), func(w Waiter) bool { return w.Incident == incident })
}

// Has reports whether the alert waits.
func (q *Queue) Has(incident, rule, instance string) bool {
	return q.place(incident, rule, instance) >= 0
}

func (q *Queue) place(incident, rule, instance string) int {
	return slices.IndexFunc(q.waiters, func(w Waiter) bool {
		return w.Incident == incident && w.Rule == rule && w.Instance == instance
	})
}

// locked: what another attempt has, or another alert has waited for longer, is waited for.
func locked(now clock.Stamp, f *Facts, c *Candidate) finding {
	place, wants := 1, ""
	for i := range f.Ahead {
		w := &f.Ahead[i]
		if l := remedy.Meet(c.Locks, w.Locks); l != "" {
			if place++; wants == "" {
				wants = fmt.Sprintf("%s waits for its turn at %s: %s of incident %.8s, because of %s, came first",
					c.Name, l, w.Remedy, w.Incident, w.Rule)
			}
		}
	}
	if lock, a := holder(f, c); a != nil {
		wants = fmt.Sprintf("%s waits for %s", c.Name, had(now, lock, a))
	}
	if wants == "" {
		return finding{}
	}
	return finding{Busy, Wait, 0, fmt.Sprintf("%s; place %d in the queue", wants, place)}
}

// requestLocked: a person who asks has no place in the queue, passes who waits, and takes nothing from who has it.
func requestLocked(now clock.Stamp, f *Facts, c *Candidate) finding {
	if lock, a := holder(f, c); a != nil {
		return finding{Busy, Wait, 0, fmt.Sprintf("%s needs %s", c.Name, had(now, lock, a))}
	}
	return finding{}
}

// holder is the attempt that has one of the locks that the candidate needs, and which; nil: none has.
func holder(f *Facts, c *Candidate) (remedy.Lock, *incident.Attempt) {
	for i := range f.History {
		a := &f.History[i]
		if l := remedy.Meet(c.Locks, a.Locks); l != "" && a.Open() {
			return l, a
		}
	}
	return "", nil
}

// had says who has the lock.
func had(now clock.Stamp, lock remedy.Lock, a *incident.Attempt) string {
	return fmt.Sprintf("%s: %s of incident %.8s, because of %s, has had it for %s and is %s",
		lock, a.Remedy, a.Incident, cause(a), span(a.Intended.Age(now)), doing(a.Phase))
}

// cause is why an attempt was made.
func cause(a *incident.Attempt) string {
	if a.By != incident.ByRule {
		return a.By
	}
	return a.Rule
}
