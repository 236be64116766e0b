package systemd

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// memory is how long a finished job is remembered, for telling whose stop it was: jobs of one
// transaction are announced together, but the first may be over before the last begins.
const memory = time.Second

// together is how far apart the jobs of one transaction are announced at most.
const together = 100 * time.Millisecond

// job is one systemd job, ours or not.
type job struct {
	id      uint32
	unit    string
	at      time.Duration // announced
	removed time.Duration // 0: still queued
	ours    bool
}

func (t *table) jobNew(id uint32, unit string, now time.Duration) {
	for old, j := range t.jobs {
		if j.removed != 0 && now-j.removed > memory {
			delete(t.jobs, old)
		}
	}
	t.jobs[id] = &job{id: id, unit: unit, at: now, ours: t.expects(unit, id)}
	if u := t.unit(unit); u != nil {
		u.Job = id
	}
}

// jobRemoved ends a job. Its result tells at last what kind it was: a job that is done on a unit that
// is down stopped it; one that failed was a start, so the unit went down by itself.
func (t *table) jobRemoved(id uint32, unit, result string, now time.Duration) []Event {
	for _, e := range t.expected {
		if e.unit == unit {
			e.finished(id, result)
		}
	}
	j := t.jobs[id]
	if j != nil {
		j.removed = max(now, 1)
	}
	u := t.unit(unit)
	if u == nil || u.Job != id {
		return nil
	}
	was := *u
	u.Job = 0
	if u.Down() && j != nil {
		switch {
		case result == "failed" || result == "timeout":
			u.Stopped = Itself
		case result == "done" && u.Stopped == Itself && u.Type != "oneshot":
			u.Stopped = t.owner(u, j)
		}
	}
	return t.event(u, was, now)
}

func (t *table) queued(unit string) bool {
	for _, j := range t.jobs {
		if j.unit == unit && j.removed == 0 {
			return true
		}
	}
	return false
}

// judge says who brought u down, when it just went down.
//
// A stop job, a restart job's first half, systemd's own restart and a failing start all end in the
// same states; the jobs tell them apart as far as they can at this moment, and jobRemoved corrects
// it. Going down without any job is always the unit's own doing.
func (t *table) judge(u *Unit, was Unit) {
	switch {
	case !u.Down():
		u.Stopped = ""
	case down(was.Active) && u.InvocationID != was.InvocationID && u.InvocationID != "":
		u.Stopped = Itself // it ran and ended between two signals
	case down(was.Active) && (was.Active == u.Active || u.Active == "inactive"):
		// unchanged, reset, or unloaded: nobody stopped it anew
	case u.Job == 0, down(was.Active):
		u.Stopped = Itself
	default:
		j := t.jobOf(u)
		u.Stopped = t.owner(u, j)
		if was.Active == "activating" && !j.ours {
			u.Stopped = Itself // most likely a start that failed, or systemd's own restart
		}
	}
}

// jobOf is u's job, also in the moment before its own signal came: the unit's comes first.
func (t *table) jobOf(u *Unit) *job {
	if j := t.jobs[u.Job]; j != nil {
		return j
	}
	return &job{id: u.Job, unit: u.Name, ours: t.expects(u.Name, u.Job)}
}

// expects reports whether act said that it would queue that job.
func (t *table) expects(unit string, id uint32) bool {
	return slices.ContainsFunc(t.expected, func(e *Expectation) bool {
		return e.unit == unit && (e.id == 0 || e.id == id)
	})
}

// owner says on whose behalf a job stopped u.
func (t *table) owner(u *Unit, j *job) Stopper {
	switch {
	case j.ours:
		return Salve
	case t.dragged(u, j):
		return Dependency
	}
	return Person
}

// dragged reports whether u's job came along with another unit's: one that u requires or is part of
// got a job in the same moment, which has brought it down or has yet to run; or one that u is bound to
// is down.
func (t *table) dragged(u *Unit, j *job) bool {
	for _, list := range [][]string{u.Requires, u.Requisite, u.BindsTo, u.PartOf} {
		for _, dep := range list {
			state := t.active(dep)
			for _, other := range t.jobs {
				if other.unit == dep && other.id < j.id && j.at-other.at < together &&
					(other.removed == 0 || down(state) || state == "deactivating") {
					return true
				}
			}
		}
	}
	return slices.ContainsFunc(u.BindsTo, func(dep string) bool { return down(t.active(dep)) })
}

// Expectation marks the jobs that Salve is about to queue for one unit, so that they are not taken for
// a person's. It is made before the call, since the job's signals may arrive before the call's answer.
type Expectation struct {
	w      *Watcher
	unit   string
	id     uint32 // 0: not known yet, every new job of the unit counts as ours
	early  map[uint32]string
	result chan string
	lost   chan struct{} // closed when the connection goes away
}

// Expect announces a job on unit, given by its primary name. Close must be called.
func (w *Watcher) Expect(unit string) *Expectation {
	e := &Expectation{w: w, unit: unit, early: map[uint32]string{},
		result: make(chan string, 1), lost: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.expected = append(w.t.expected, e)
	if w.conn == nil {
		close(e.lost)
	}
	return e
}

// Job tells which job it became.
func (e *Expectation) Job(id uint32) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.id = id
	for _, j := range e.w.t.jobs {
		if j.unit == e.unit && j.ours && j.id != id {
			j.ours = false // somebody else's, queued in the same moment
			if u := e.w.t.unit(e.unit); u != nil && u.Job == j.id && u.Stopped == Salve {
				u.Stopped = Person
			}
		}
	}
	if r, ok := e.early[id]; ok {
		e.finished(id, r)
	}
}

// finished is called with the watcher's lock held.
func (e *Expectation) finished(id uint32, result string) {
	if e.id == 0 {
		e.early[id] = result
		return
	}
	if e.id != id {
		return
	}
	select {
	case e.result <- result:
	default: // told already
	}
}

// Wait waits for the job's end and returns systemd's word for it: done, failed, canceled, timeout,
// dependency, skipped, …. It returns ErrDisconnected when the connection was lost meanwhile: then
// nobody knows, and the unit has to be looked at again.
func (e *Expectation) Wait(ctx context.Context) (string, error) {
	select {
	case r := <-e.result:
		return r, nil
	default:
	}
	select {
	case r := <-e.result:
		return r, nil
	case <-e.lost:
		return "", ErrDisconnected
	case <-ctx.Done():
		return "", fmt.Errorf("wait for job %d of %s: %w", e.id, e.unit, context.Cause(ctx))
	}
}

// Close takes the expectation back.
func (e *Expectation) Close() {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	t := e.w.t
	t.expected = slices.DeleteFunc(t.expected, func(x *Expectation) bool { return x == e })
}
