package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/remedy"
)

// result is what a run has done.
type result struct {
	Removed int64  `json:"removed,omitempty"` // keys; those that went at once are not counted
	End     string `json:"end,omitempty"`     // why it ended, in words
}

// run is one run, which goes in steps. It ends when as many keys are removed as may be, nine tenths of the time are over that
// the action has, or it is told to stop. After each step it waits for the rate, and at least as long as the step took: a server
// that is slow has something else to do.
type run struct {
	*remedy.CacheArgs
	result
	step  *kind.Step
	clock clock.Clock
	own   string        // the agent's folder
	start time.Duration // of this step, CLOCK_BOOTTIME
	until time.Duration
}

// mostAtOnce is how many keys are removed by one step.
const mostAtOnce = 100

func (k Kind) begin(s *kind.Step) *run {
	now := k.Clock.Now().Boot
	return &run{CacheArgs: argsOf(s.Request), clock: k.Clock, own: k.Data, step: s, start: now,
		until: now + cmp.Or(s.Remedy.Timeout, defaults.ActionTimeout)*9/10}
}

// size is how many keys the next step may remove.
func (r *run) size() int {
	return min(max(1, min(mostAtOnce, r.Rate/10)), r.Most-int(r.Removed))
}

// errEnough ends a run before all was looked at: why is its End.
var errEnough = errors.New("enough")

// next ends a step that removed so many keys, and waits for when the next one may begin. An error says that there is none.
func (r *run) next(ctx context.Context, removed int) error {
	r.Removed += int64(removed)
	pause := r.pause(removed)
	switch {
	case r.Removed >= int64(r.Most):
		r.End = "as many keys were removed as may be in one run; there may be more"
		return errEnough
	case r.clock.Now().Boot+pause > r.until:
		r.End = "the time of one run was over; there may be more"
		return errEnough
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.step.Halt:
	case <-ctx.Done():
	}
	r.start = r.clock.Now().Boot
	return r.step.Halted(ctx)
}

// pause is how long to wait after a step that removed so many keys.
func (r *run) pause(removed int) time.Duration {
	took := r.clock.Now().Boot - r.start
	return max(took, time.Duration(removed)*time.Second/time.Duration(r.Rate)-took)
}

// ended says how a run ended whose last step gave that error.
func (r *run) ended(err error) error {
	switch {
	case errors.Is(err, errEnough):
		return nil
	case err != nil:
		r.End = fmt.Sprintf("it broke off after %d keys", r.Removed)
		return fmt.Errorf("after %d keys were removed: %w", r.Removed, err)
	}
	r.End = "every key was looked at"
	return nil
}
