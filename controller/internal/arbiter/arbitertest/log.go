// Package arbitertest stands in for Raft in tests of what is above it: a log of one node that applies to the real
// state machine, and the places of nodes that share it. It is strict: what is not committed is not applied, what
// cannot be decoded panics, and only a leader proposes.
package arbitertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/fsm"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/proto/logpb"
)

// Watch is a clock that runs with the test's, its wall clock as wrong as the test says.
type Watch struct {
	mu    sync.Mutex
	start time.Time
	skew  time.Duration
}

// NewWatch begins at 0 on the monotonic clock; its wall clock is ahead by skew.
func NewWatch(skew time.Duration) *Watch { return &Watch{start: time.Now(), skew: skew} }

// BootID names the boot.
func (w *Watch) BootID() string { return "boot" }

// Now is the moment on both clocks.
func (w *Watch) Now() clock.Instant {
	w.mu.Lock()
	defer w.mu.Unlock()
	return clock.Instant{Boot: time.Since(w.start), Wall: time.Now().Add(w.skew)}
}

// Journal is the log of a cluster of one: what is committed stays, and a new leader goes on from it.
type Journal struct {
	*fsm.FSM

	mu      sync.Mutex
	index   uint64
	entries []*logpb.Entry
}

// NewJournal is an empty log. That its replica stops fails the test.
func NewJournal(t testing.TB) *Journal {
	t.Helper()
	return &Journal{FSM: fsm.New(fsm.Options{Log: hclog.NewNullLogger(), Fatal: func(err error) {
		t.Errorf("the replica stops: %v", err)
	}})}
}

// commit applies one entry as Raft would, and is as strict as the state machine.
func (j *Journal) commit(data []byte) (uint64, any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := new(logpb.Entry)
	if err := proto.Unmarshal(data, e); err != nil {
		panic(err)
	}
	j.index++
	j.entries = append(j.entries, e)
	return j.index, j.Apply(&raft.Log{Index: j.index, Type: raft.LogCommand, Data: data})
}

// All are the entries so far.
func (j *Journal) All() []*logpb.Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.entries[:len(j.entries):len(j.entries)]
}

// Skip makes the next entry one of that index, as if others had come before.
func (j *Journal) Skip(index uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.index = index - 1
}

// Seat is one node's place in Raft, over a journal that the test shares between nodes.
type Seat struct {
	journal *Journal
	id      string
	leaders chan bool

	mu       sync.Mutex
	leader   string
	held     bool // committing waits
	queue    []*promise
	watchers []chan struct{}
	sizes    []int
	failed   error // what Propose answers instead, if set
}

// Fail makes every entry fail with the error; nil ends that.
func (s *Seat) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
}

// Quietly makes the node the leader without a word to its arbiter, which Say says.
func (s *Seat) Quietly() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = s.id
}

// Say tells the arbiter that this node leads, or does not.
func (s *Seat) Say(leads bool) { s.leaders <- leads }

// Waiting is closed once an entry waits to be committed; see Hold.
func (s *Seat) Waiting() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	waits := make(chan struct{})
	if len(s.queue) > 0 {
		close(waits)
	} else {
		s.watchers = append(s.watchers, waits)
	}
	return waits
}

// Sizes are those of the entries proposed so far.
func (s *Seat) Sizes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sizes[:len(s.sizes):len(s.sizes)]
}

// NewSeat is a follower that knows of no leader.
func NewSeat(j *Journal, id string) *Seat {
	return &Seat{journal: j, id: id, leaders: make(chan bool, 8)}
}

// promise is a future.
type promise struct {
	data     []byte
	done     chan struct{}
	err      error
	index    uint64
	response any
}

var _ raft.ApplyFuture = (*promise)(nil)

func (p *promise) Error() error          { <-p.done; return p.err }
func (p *promise) Response() interface{} { return p.response }
func (p *promise) Index() uint64         { return p.index }

// Propose is arbiter.Node's.
func (s *Seat) Propose(data []byte) raft.ApplyFuture {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &promise{data: bytes.Clone(data), done: make(chan struct{})}
	s.sizes = append(s.sizes, len(data))
	switch {
	case s.failed != nil:
		p.err = s.failed
		close(p.done)
	case s.leader != s.id:
		p.err = raft.ErrNotLeader
		close(p.done)
	default:
		s.queue = append(s.queue, p)
		if s.held {
			for _, w := range s.watchers {
				close(w)
			}
			s.watchers = nil
		}
		s.work()
	}
	return p
}

// work commits what waits, in order.
func (s *Seat) work() {
	for !s.held && len(s.queue) > 0 {
		p := s.queue[0]
		s.queue = s.queue[1:]
		p.index, p.response = s.journal.commit(p.data)
		close(p.done)
	}
}

// Hold keeps entries from being committed, or lets them.
func (s *Seat) Hold(held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
	s.work()
}

// Elect makes a node the leader, as this one sees it. What waits when the office is lost may be committed by
// another leader or never: commit says which.
func (s *Seat) Elect(leader string, commit bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.leader == s.id
	s.leader = leader
	for _, p := range s.queue {
		if commit {
			s.journal.commit(p.data)
		}
		p.err = raft.ErrLeadershipLost
		close(p.done)
	}
	s.queue = nil
	if is := leader == s.id; is != was {
		s.leaders <- is
	}
}

// LeaderCh is arbiter.Node's.
func (s *Seat) LeaderCh() <-chan bool { return s.leaders }

// IsLeader is arbiter.Node's.
func (s *Seat) IsLeader() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leader == s.id
}

// Leader is arbiter.Node's.
func (s *Seat) Leader() (string, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leader, "raft-" + s.leader
}

// Barrier is arbiter.Node's.
func (s *Seat) Barrier(ctx context.Context) error {
	if !s.IsLeader() {
		return raft.ErrNotLeader
	}
	return ctx.Err()
}

// Restore is arbiter.Node's, and strict: a backup is what fsm writes.
func (s *Seat) Restore(_ context.Context, backup io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) > 0 {
		return fmt.Errorf("%d entries are in flight", len(s.queue))
	}
	return s.journal.Restore(io.NopCloser(backup))
}
