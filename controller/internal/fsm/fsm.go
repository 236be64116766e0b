// Package fsm is the bridge between Raft and the state: it decodes what was committed, applies it, and hands out
// the results. It decides nothing. What it cannot read, or what the state says must not be, stops this replica by
// name: other replicas are better than a wrong one.
package fsm

import (
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// CheckEvery is after how many entries the state is hashed.
const CheckEvery = 10_000

var (
	_ raft.FSM         = (*FSM)(nil)
	_ raft.BatchingFSM = (*FSM)(nil)
)

// Options are what a bridge needs.
type Options struct {
	Log hclog.Logger
	// Fatal is called once, from Raft's goroutine, when this replica must stop. It should end the process and must
	// not wait for Raft. Nothing is applied after it.
	Fatal func(error)
}

// FSM holds the state. All methods may be called from any goroutine.
type FSM struct {
	log   hclog.Logger
	fatal func(error)

	mu      sync.RWMutex
	state   *state.State
	applied uint64        // Raft index
	changed chan struct{} // closed at the next change
	check   *logpb.Check  // the newest hash, nil: none yet
	stopped error
}

// New is a bridge to the state before the first entry.
func New(o Options) *FSM {
	return &FSM{log: o.Log, fatal: o.Fatal, state: state.New(), changed: make(chan struct{})}
}

// Apply applies one entry: see ApplyBatch.
func (f *FSM) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch answers each command entry with its []*logpb.Result, or with an error when this replica has stopped.
func (f *FSM) ApplyBatch(logs []*raft.Log) []any {
	answers := make([]any, len(logs))
	f.mu.Lock()
	before := f.stopped
	for i, l := range logs {
		if l.Type == raft.LogCommand {
			answers[i] = f.apply(l)
		}
		f.applied = l.Index
	}
	f.wake()
	after := f.stopped
	f.mu.Unlock()
	if before == nil && after != nil {
		f.log.Error("this replica stops", "error", after)
		f.fatal(after)
	}
	return answers
}

// apply applies one entry under the lock.
func (f *FSM) apply(l *raft.Log) any {
	if f.stopped != nil {
		return f.stopped
	}
	entry := new(logpb.Entry)
	if err := proto.Unmarshal(l.Data, entry); err != nil {
		f.stopped = fmt.Errorf("%w: decode entry %d: %w", state.ErrStop, l.Index, err)
		return f.stopped
	}
	last := f.state.Index()
	results, err := f.state.Apply(l.Index, entry)
	if err != nil {
		f.stopped = err
		return f.stopped
	}
	if last/CheckEvery != l.Index/CheckEvery { // not the index alone: multiples may be no commands
		index, hash := f.state.Checkpoint()
		f.check = &logpb.Check{Index: index, Hash: hash}
	}
	return results
}

// wake tells everybody who waits that something changed, under the lock.
func (f *FSM) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Restore replaces the state by that of a snapshot. After an error the state is what it was.
func (f *FSM) Restore(source io.ReadCloser) error {
	restored, err := Read(source)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped != nil {
		return fmt.Errorf("restore: %w", f.stopped)
	}
	f.state, f.check = restored, nil
	f.applied = max(f.applied, restored.Index())
	f.wake()
	return nil
}
