package unit

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/procfile"
	"github.com/salveops/salve/agent/internal/observe/source"
)

const (
	// againEvery is how long the limit, and the share of the page cache, are taken for unchanged.
	againEvery = 10 * time.Second
	// moved is the change of the total, as a fraction of it (1/moved), at which the share of the page
	// cache is read again at once. The file that tells it costs ten times as much as the total.
	moved = 64
)

// memory reads what a unit occupies and cannot give back cheaply: the group's total less the page
// cache that was not used lately, else a service that writes a log would look like a leak. Without a
// memory controller it is the resident memory of the unit's processes.
type memory struct {
	current  *procfile.File // nil: procs
	stat     *procfile.File // nil: the page cache is not known
	max      *procfile.File // nil: no limit
	inactive string         // the line of stat that matters
	procs    *processes
	host     uint64 // memory of the host, the limit of units that have none

	bytes, ratio *source.Handle // nil: not needed

	cache            uint64 // page cache, as of cacheAt, when the total was cacheFor
	cacheFor         uint64
	cacheAt, limitAt time.Duration
	limit            uint64
	asked            bool // cache and limit were read at least once
}

func (m *memory) read(now time.Duration, b *source.Batch, buf []byte) error {
	used, err := m.used(now, buf)
	if err != nil {
		m.asked = false
		return err
	}
	if err := m.readLimit(now, buf); err != nil {
		return err
	}
	m.asked = true
	if m.bytes != nil {
		b.Set(m.bytes, now, float64(used))
	}
	if m.ratio != nil {
		b.Maybe(m.ratio, now, float64(used)/float64(m.limit), m.limit > 0)
	}
	return nil
}

func (m *memory) used(now time.Duration, buf []byte) (uint64, error) {
	if m.current == nil {
		return m.procs.resident(now, buf)
	}
	text, err := m.current.Read(buf)
	if err != nil {
		return 0, err
	}
	total, ok := first(text)
	if !ok {
		return 0, unix.EINVAL
	}
	if m.stat != nil && m.cacheDue(now, total) {
		if text, err = m.stat.Read(buf); err != nil {
			return 0, err
		}
		m.cache, _ = procfile.Value(text, m.inactive)
		m.cacheAt, m.cacheFor = now, total
	}
	return total - min(m.cache, total), nil
}

func (m *memory) cacheDue(now time.Duration, total uint64) bool {
	gap := max(total, m.cacheFor) - min(total, m.cacheFor)
	return !m.asked || now-m.cacheAt >= againEvery || gap > m.cacheFor/moved
}

// readLimit keeps the smaller of the unit's limit and the host's memory. Version 2 says "max" for no
// limit, version 1 a number near 2^63.
func (m *memory) readLimit(now time.Duration, buf []byte) error {
	if m.ratio == nil || m.asked && now-m.limitAt < againEvery {
		return nil
	}
	m.limit, m.limitAt = m.host, now
	if m.max == nil {
		return nil
	}
	text, err := m.max.Read(buf)
	if err != nil {
		return err
	}
	if limit, ok := first(text); ok && limit < m.host {
		m.limit = limit
	}
	return nil
}

func (m *memory) signals() []*source.Handle { return compact(m.bytes, m.ratio) }

func (m *memory) close() {
	closeAll(m.current, m.stat, m.max)
	m.procs.close()
}

func first(b []byte) (uint64, bool) {
	v, _, ok := procfile.Uint(b)
	return v, ok
}
