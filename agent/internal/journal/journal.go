// Package journal is what an agent remembers across crashes: incidents with their timelines, attempts,
// pauses, deliveries, event numbers, and small records of others. It is one bbolt file in the state folder.
//
// Two kinds of writes exist. PutAttempt, PutPause, DeletePause and Space.Put are durable when they return.
// PutIncident, Space.PutSoon and Space.DeleteSoon return at once and are written together a moment later;
// what was queued before a durable write or a Flush is durable with it, so order is kept. A crash loses
// at most a tail of what was queued.
//
// When the disk takes nothing, durable writes fail, queued ones are kept (up to a bound) and tried again, and
// Healthy says what is wrong until a write has worked.
package journal

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"go.etcd.io/bbolt"

	"github.com/salveops/salve/pkg/clock"
)

// Journal is an open journal. All methods may be called from any goroutine; those that read wait for
// queued writes, so the engine's goroutine should only use PutIncident, PutSoon, NextEvent and Healthy.
type Journal struct {
	dir, path   string
	clock       clock.Clock
	log         hclog.Logger
	limits      Limits
	lock        *os.File
	db          *bbolt.DB
	host        string
	stream      string
	budgetSince clock.Stamp // zero: budgets are known

	attempting sync.Mutex // one PutAttempt at a time

	queue     queue
	events    events
	incidents stored
	outbox    atomic.Pointer[Outbox] // nil: this host is alone
	unhealthy atomic.Pointer[error]  // nil: the last write worked
	fault     fault

	stop    chan struct{}
	stopped chan struct{}
	close   sync.Once
}

func newJournal(dir string, o Options) *Journal {
	return &Journal{
		dir:       dir,
		path:      filepath.Join(dir, fileName),
		clock:     o.Clock,
		log:       o.Log,
		limits:    o.Limits,
		queue:     newQueue(o.Limits),
		incidents: newStored(),
		fault:     fault{seen: make(chan struct{})},
		stop:      make(chan struct{}),
		stopped:   make(chan struct{}),
	}
}

// Host is the host's ID: random, made once, 32 hex digits.
func (j *Journal) Host() string { return j.host }

// Stream is the ID of the event stream that NextEvent counts in. It is new when the journal is.
func (j *Journal) Stream() string { return j.stream }

// BudgetUnknown reports whether attempts may be missing because an earlier journal was lost less than
// Limits.BudgetUnknown ago. Attempt budgets count as spent while it is true: lost state must not free them.
func (j *Journal) BudgetUnknown() bool {
	return !j.budgetSince.IsZero() && j.budgetSince.Age(clock.Now(j.clock)) < j.limits.BudgetUnknown
}

// Lost is when an earlier journal was lost, as long as attempts may be missing because of that; zero
// otherwise.
func (j *Journal) Lost() clock.Stamp {
	if !j.BudgetUnknown() {
		return clock.Stamp{}
	}
	return j.budgetSince
}

// Healthy is nil if the last write worked. While it did not, writes are tried again every Limits.RetryEvery.
func (j *Journal) Healthy() error {
	if err := j.fault.get(); err != nil {
		return err
	}
	if err := j.unhealthy.Load(); err != nil {
		return *err
	}
	return nil
}

// Flush returns when everything queued so far is durable, or with the reason why it is not.
func (j *Journal) Flush(ctx context.Context) error { return j.durable(ctx) }

// Close writes what is queued and lets go of the state folder. It returns the error of that last write.
func (j *Journal) Close() error {
	err := ErrClosed
	j.close.Do(func() {
		j.queue.shut()
		close(j.stop)
		select {
		case <-j.stopped:
		case <-j.fault.seen:
		}
		err = j.Healthy()
		if e := j.guarded(j.db.Close); err == nil {
			err = e
		}
		if e := j.lock.Close(); err == nil {
			err = e
		}
	})
	return err
}

// events hands out event numbers without waiting for the disk: a block is reserved ahead, and a restart goes
// on after the block. Numbers are never given twice, except when the disk takes nothing for a whole block.
type events struct {
	mu             sync.Mutex
	next, reserved uint64
}

// NextEvent returns a number that this event stream has not used before. It does not wait.
func (j *Journal) NextEvent() uint64 {
	j.events.mu.Lock()
	n := j.events.next
	j.events.next++
	low := j.events.next+j.limits.EventBlock/2 >= j.events.reserved
	j.events.mu.Unlock()
	if low {
		j.reserveEvents()
	}
	return n
}

func (j *Journal) reserveEvents() {
	j.events.mu.Lock()
	defer j.events.mu.Unlock()
	mark := j.events.next + j.limits.EventBlock
	if err := j.enqueue(put(bucketMeta, keyEvents, strconv.AppendUint(nil, mark, 10))); err == nil {
		j.events.reserved = mark
	}
}

// metaRecord reads the payload of one record of the meta bucket.
func (j *Journal) metaRecord(key string) ([]byte, error) {
	return read(j, func(tx *bbolt.Tx) ([]byte, error) { return payload(tx, bucketMeta, key) })
}
