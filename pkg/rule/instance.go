package rule

import (
	"slices"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/series"
)

// instance is an alert with its memory.
type instance struct {
	Alert
	id      id
	reads   []*series.Series // what its conditions go by: of objectives, what tells what is bad
	counts  []*series.Series // figures of objectives that its conditions read
	vital   *vital           // of its unit; nil: the unit's state does not hold it back
	startup time.Duration
	window  time.Duration // longest window of its conditions

	firing   stopwatch
	clearing stopwatch
	blind    stopwatch
	flaps    flaps
	born     time.Duration // first look
	looked   bool
}

// step judges the instance now. Both conditions are always evaluated, so that what they remember stays
// current whether or not the state depends on it.
func (in *instance) step(now clock.Instant, emit func(Event)) {
	if !in.looked {
		in.looked, in.born = true, now.Boot
		if in.State == Resting {
			in.Since = now
		}
	}
	when := in.When.Eval(now)
	in.Holds = when
	clear := when.Not()
	if in.Clear != nil {
		clear = in.Clear.Eval(now)
	}
	in.calm(now, emit)
	if in.vital != nil && in.vital.starting(now.Boot, in.startup) {
		in.firing.pause()
		in.clearing.pause()
		in.blind.pause()
		return
	}
	if in.State.Active() {
		in.watch(now, clear, emit)
		in.recover(now, when, clear, emit)
		return
	}
	in.watch(now, when, emit)
	in.suspect(now, when, emit)
}

// suspect moves an alert that does not fire.
func (in *instance) suspect(now clock.Instant, when expr.Truth, emit func(Event)) {
	switch {
	case in.firing.look(now.Boot, when, in.Rule.For):
		in.enter(Firing, now)
		in.Fired = now
		in.clearing.reset()
		in.change(Fired, now, emit)
	case when == expr.True && in.State == Resting:
		in.enter(Pending, now)
	case when == expr.False && in.State == Pending:
		in.enter(Resting, now)
	}
}

// recover moves an alert that fires. A clear condition that holds beside the trouble itself is no
// recovery.
func (in *instance) recover(now clock.Instant, when, clear expr.Truth, emit func(Event)) {
	if when == expr.True {
		clear = expr.False
	}
	switch {
	case in.clearing.look(now.Boot, clear, in.Rule.ClearFor):
		in.resolve(now, emit)
	case clear == expr.True && in.State == Firing:
		in.enter(Clearing, now)
	case clear == expr.False && in.State == Clearing:
		in.enter(Firing, now)
	}
}

func (in *instance) resolve(now clock.Instant, emit func(Event)) {
	in.enter(Resting, now)
	in.firing.reset()
	in.clearing.reset()
	in.change(Resolved, now, emit)
}

func (in *instance) enter(s State, now clock.Instant) { in.State, in.Since = s, now }

// change tells of a change between firing and not, and judges whether there are too many of them.
func (in *instance) change(k Kind, now clock.Instant, emit func(Event)) {
	in.flaps.mark(now.Boot)
	began := !in.Flapping && in.flaps.recent(now.Boot) >= flapMany
	in.Flapping = in.Flapping || began
	emit(Event{Kind: k, Alert: &in.Alert, At: now, Readings: in.readings(now)})
	if began {
		emit(Event{Kind: Flapping, Alert: &in.Alert, At: now})
	}
}

// calm ends flapping once it has been quiet.
func (in *instance) calm(now clock.Instant, emit func(Event)) {
	if in.Flapping && in.flaps.recent(now.Boot) < flapFew {
		in.Flapping = false
		emit(Event{Kind: FlappingEnd, Alert: &in.Alert, At: now})
	}
}

// watch tells when the condition that decides has been unknown for too long.
func (in *instance) watch(now clock.Instant, decides expr.Truth, emit func(Event)) {
	if decides != expr.Unknown || in.idle(now.Boot) {
		in.blind.reset()
		if in.Blind {
			in.Blind = false
			emit(Event{Kind: BlindEnd, Alert: &in.Alert, At: now, Readings: in.readings(now)})
		}
		return
	}
	if in.excused(now.Boot) {
		in.blind.pause()
		return
	}
	if in.blind.look(now.Boot, expr.True, defaults.BlindAfter) && !in.Blind {
		in.Blind = true
		emit(Event{Kind: Blind, Alert: &in.Alert, At: now, Readings: in.readings(now)})
	}
}

// idle reports whether the condition is unknown only because too little happens on a host where every source answers:
// a service at night is not blind. What fires is not excused, for its trouble may be that nobody reaches the service.
func (in *instance) idle(now time.Duration) bool {
	idles := func(s *series.Series) bool { return s.IsIdle(now) }
	failed := func(s *series.Series) bool { _, known := s.Value(now); return !known && !idles(s) }
	return !in.State.Active() && slices.ContainsFunc(in.reads, idles) && !slices.ContainsFunc(in.reads, failed)
}

// excused reports whether an unknown condition is no fault of a source: the unit does not run, or all
// sources answer and only a window is not full yet, or too little was counted for an objective.
func (in *instance) excused(now time.Duration) bool {
	if in.vital != nil && in.vital.stopped() {
		return true
	}
	unknown := func(s *series.Series) bool { _, known := s.Value(now); return !known }
	if slices.ContainsFunc(in.reads, unknown) {
		return false
	}
	return slices.ContainsFunc(in.counts, unknown) || now-in.born <= in.window+defaults.BlindAfter
}

func (in *instance) readings(now clock.Instant) []expr.Reading {
	if in.State == Resting && in.Clear != nil {
		return in.Clear.Readings(now)
	}
	return in.When.Readings(now)
}
