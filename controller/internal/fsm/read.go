package fsm

import (
	"context"
	"fmt"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// View calls fn with the state, which does not change while fn runs. fn must keep nothing of it and wait for
// nothing.
func (f *FSM) View(fn func(*state.State)) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	fn(f.state)
}

// Changed is closed when something was applied after this call.
func (f *FSM) Changed() <-chan struct{} {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.changed
}

// Check is the newest hash that this replica computed, nil if none: what a leader proposes for the others to compare.
func (f *FSM) Check() *logpb.Check {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.check
}

// Wait returns when the command at the index was applied, or with the reason why it will not be.
func (f *FSM) Wait(ctx context.Context, index uint64) error {
	for {
		f.mu.RLock()
		applied, changed, stopped := f.applied, f.changed, f.stopped
		f.mu.RUnlock()
		switch {
		case stopped != nil:
			return stopped
		case applied >= index:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for entry %d: %w", index, ctx.Err())
		}
	}
}
