// Package nodetest has what tests of clusters run on: disks that fill up, stall, slow down, and lose in a crash
// what was not written yet.
package nodetest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Errors of a disk.
var (
	// ErrFull is what a full disk says.
	ErrFull = errors.New("no space left on device")
	// ErrCrashed is what every write says after Crash.
	ErrCrashed = errors.New("the machine has crashed")

	errNotFound = errors.New("not found") // Raft compares the text
)

// MemStore is a log store in memory. A write is durable when it has returned without an error, all of it or nothing.
type MemStore struct {
	mu      sync.Mutex
	disk    disk
	fault   error
	slow    time.Duration
	stalled chan struct{} // closed when the stall is over; nil: none
	crashed chan struct{}
	writes  int
}

var (
	_ raft.LogStore    = (*MemStore)(nil)
	_ raft.StableStore = (*MemStore)(nil)
)

// disk is what is durable.
type disk struct {
	logs        map[uint64]*raft.Log
	first, last uint64
	values      map[string][]byte
	numbers     map[string]uint64
}

// NewMemStore is an empty one.
func NewMemStore() *MemStore {
	return &MemStore{crashed: make(chan struct{}), disk: disk{
		logs: map[uint64]*raft.Log{}, values: map[string][]byte{}, numbers: map[string]uint64{},
	}}
}

// Fail makes every write fail from now on, nil: none. ErrFull is a good one.
func (m *MemStore) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = err
}

// Slow makes every write take that much longer.
func (m *MemStore) Slow(by time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slow = by
}

// Stall makes writes wait until resume is called, which may be called more than once.
func (m *MemStore) Stall() (resume func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	over := make(chan struct{})
	m.stalled = over
	return sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		close(over)
		if m.stalled == over {
			m.stalled = nil
		}
	})
}

// Writes is how many writes have worked.
func (m *MemStore) Writes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}

// Crash ends this store: every write fails from now on, those that wait for the disk, too, and nothing of theirs
// is written. What was written can still be read, for Raft panics when it cannot, and a test ends it a moment later.
// What it returns is the disk as the next process finds it.
func (m *MemStore) Crash() *MemStore {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.crashed:
	default:
		close(m.crashed)
	}
	return m.copy()
}

// Copy is the disk as it is now, as an old backup of the folder would have it.
func (m *MemStore) Copy() *MemStore {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.copy()
}

func (m *MemStore) copy() *MemStore {
	c := NewMemStore()
	c.disk.first, c.disk.last = m.disk.first, m.disk.last
	for i, l := range m.disk.logs {
		c.disk.logs[i] = l // never changed once stored
	}
	for k, v := range m.disk.values {
		c.disk.values[k] = v
	}
	for k, v := range m.disk.numbers {
		c.disk.numbers[k] = v
	}
	return c
}

// write runs f on the disk when its faults let it.
func (m *MemStore) write(f func(*disk)) error {
	m.mu.Lock()
	slow, stalled := m.slow, m.stalled
	m.mu.Unlock()
	if slow > 0 {
		t := time.NewTimer(slow)
		defer t.Stop()
		select {
		case <-t.C:
		case <-m.crashed:
			return ErrCrashed
		}
	}
	if stalled != nil {
		select {
		case <-stalled:
		case <-m.crashed:
			return ErrCrashed
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.crashed:
		return ErrCrashed
	default:
	}
	if m.fault != nil {
		return m.fault
	}
	f(&m.disk)
	m.writes++
	return nil
}

// read runs f on the disk; a full one can be read.
func (m *MemStore) read(f func(*disk) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return f(&m.disk)
}

// FirstIndex is the first entry's, 0: none.
func (m *MemStore) FirstIndex() (i uint64, err error) {
	return i, m.read(func(d *disk) error { i = d.first; return nil })
}

// LastIndex is the last entry's, 0: none.
func (m *MemStore) LastIndex() (i uint64, err error) {
	return i, m.read(func(d *disk) error { i = d.last; return nil })
}

// GetLog reads an entry.
func (m *MemStore) GetLog(index uint64, into *raft.Log) error {
	return m.read(func(d *disk) error {
		l := d.logs[index]
		if l == nil {
			return raft.ErrLogNotFound
		}
		*into = *l
		return nil
	})
}

// StoreLog writes an entry.
func (m *MemStore) StoreLog(l *raft.Log) error { return m.StoreLogs([]*raft.Log{l}) }

// StoreLogs writes entries.
func (m *MemStore) StoreLogs(logs []*raft.Log) error {
	return m.write(func(d *disk) {
		for _, l := range logs {
			stored := *l
			stored.Data, stored.Extensions = slices.Clone(l.Data), slices.Clone(l.Extensions)
			d.logs[l.Index] = &stored
			if d.first == 0 || l.Index < d.first {
				d.first = l.Index
			}
			d.last = max(d.last, l.Index)
		}
	})
}

// DeleteRange removes entries; both ends are included.
func (m *MemStore) DeleteRange(from, to uint64) error {
	return m.write(func(d *disk) {
		for i := range d.logs {
			if i >= from && i <= to {
				delete(d.logs, i)
			}
		}
		d.first, d.last = 0, 0
		for i := range d.logs {
			if d.first == 0 || i < d.first {
				d.first = i
			}
			d.last = max(d.last, i)
		}
	})
}

// Set writes a value.
func (m *MemStore) Set(key, value []byte) error {
	return m.write(func(d *disk) { d.values[string(key)] = slices.Clone(value) })
}

// Get reads a value.
func (m *MemStore) Get(key []byte) (v []byte, err error) {
	return v, m.read(func(d *disk) error {
		var ok bool
		if v, ok = d.values[string(key)]; !ok {
			return errNotFound
		}
		return nil
	})
}

// SetUint64 writes a number.
func (m *MemStore) SetUint64(key []byte, value uint64) error {
	return m.write(func(d *disk) { d.numbers[string(key)] = value })
}

// GetUint64 reads a number.
func (m *MemStore) GetUint64(key []byte) (v uint64, err error) {
	return v, m.read(func(d *disk) error {
		var ok bool
		if v, ok = d.numbers[string(key)]; !ok {
			return errNotFound
		}
		return nil
	})
}

// Close does nothing: the disk stays.
func (m *MemStore) Close() error { return nil }
