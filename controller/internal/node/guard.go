package node

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Raft's own keys.
const (
	keyTerm     = "CurrentTerm"
	keyVoteTerm = "LastVoteTerm"
	keyVoteFor  = "LastVoteCand"
)

// retryEvery is how often a term that could not be written is tried again.
const retryEvery = 250 * time.Millisecond

// hangs is how long a write may take before the node calls itself unhealthy.
const hangs = 5 * time.Second

// guard stands between Raft and the store, and makes up for three things that Raft does:
//
//   - When its log cannot be written, Raft steps down and forgets why. guard remembers, for Healthy.
//   - When its term cannot be written, Raft panics. guard tries again until it works or the node closes. Raft stands
//     still meanwhile; stuck tells the line to let nobody in.
//   - A vote is written in two steps, first the term and then the candidate. A crash between the two would pair
//     the new term with the candidate of an older vote, who would then be granted a vote without a look at his log.
//     guard writes the candidate first: a crash then leaves the older term, and nothing was promised.
type guard struct {
	Store
	log     hclog.Logger
	closing chan struct{}

	mu     sync.Mutex
	failed error     // of the last write, nil: it worked
	stuck  bool      // a term waits to be written
	began  time.Time // of the write that runs, zero: none does

	vote *uint64 // term of a vote whose candidate has not come yet; only Raft's main goroutine votes
}

var _ raft.StableStore = (*guard)(nil)

func newGuard(s Store, log hclog.Logger) *guard {
	return &guard{Store: s, log: log, closing: make(chan struct{})}
}

// write runs one write, remembers how it went, and logs a change for the worse or the better. Raft writes from
// one goroutine at a time but for terms; of two at once, began is the later one's.
func (g *guard) write(what string, f func() error) error {
	g.mu.Lock()
	g.began = time.Now()
	g.mu.Unlock()
	err := f()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.began = time.Time{}
	switch {
	case err != nil && g.failed == nil:
		g.log.Error("the log store fails, this node cannot lead or vote until it works again", "write", what, "error", err)
	case err == nil && g.failed != nil:
		g.log.Info("the log store works again")
	}
	if g.failed = nil; err != nil {
		g.failed = fmt.Errorf("write %s: %w", what, err)
	}
	return err
}

// healthy is nil if the last write worked and none hangs.
func (g *guard) healthy() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil && !g.began.IsZero() && time.Since(g.began) > hangs {
		return fmt.Errorf("a write to the log has not returned for %s", time.Since(g.began).Round(time.Second))
	}
	return g.failed
}

// waits is the reason why Raft stands still, nil if it does not.
func (g *guard) waits() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.stuck {
		return nil
	}
	return g.failed
}

// StoreLog is StoreLogs of one entry.
func (g *guard) StoreLog(l *raft.Log) error { return g.StoreLogs([]*raft.Log{l}) }

// StoreLogs writes entries.
func (g *guard) StoreLogs(l []*raft.Log) error {
	return g.write("log", func() error { return g.Store.StoreLogs(l) })
}

// DeleteRange removes entries.
func (g *guard) DeleteRange(from, to uint64) error {
	return g.write("log", func() error { return g.Store.DeleteRange(from, to) })
}

// SetUint64 writes a term, or holds back the one of a vote.
func (g *guard) SetUint64(key []byte, value uint64) error {
	switch string(key) {
	case keyVoteTerm:
		g.vote = &value
		return nil
	case keyTerm:
		return g.setTerm(value)
	}
	return g.write("value", func() error { return g.Store.SetUint64(key, value) })
}

// Set writes the candidate of a vote, and the held-back term after it.
func (g *guard) Set(key, value []byte) error {
	term := g.vote
	if string(key) != keyVoteFor || term == nil {
		return g.write("value", func() error { return g.Store.Set(key, value) })
	}
	g.vote = nil
	if err := g.write("vote", func() error { return g.Store.Set(key, value) }); err != nil {
		return err
	}
	return g.write("vote", func() error { return g.Store.SetUint64([]byte(keyVoteTerm), *term) })
}

// setTerm does not return before the term is written or release was called. Then the node has no connection left
// on which the unwritten term could matter.
func (g *guard) setTerm(term uint64) error {
	for {
		err := g.write("term", func() error { return g.Store.SetUint64([]byte(keyTerm), term) })
		g.mu.Lock()
		g.stuck = err != nil
		g.mu.Unlock()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(retryEvery):
		case <-g.closing:
			return nil
		}
	}
}

// release lets a waiting term go. Nothing may be promised to anybody after it.
func (g *guard) release() { close(g.closing) }
