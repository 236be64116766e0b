package source

import (
	"strings"
	"sync/atomic"
	"time"
)

// Stats are the figures of one source about itself.
type Stats struct {
	Name     string
	Runs     uint64        // how often it was asked
	Failures uint64        // how often that failed
	Warnings uint64        // reservations about what it told; 0 of a source that tells none
	Last     time.Duration // how long the last time took
	Success  time.Duration // when it last went well, as clock.Instant.Boot; 0: never yet
	Busy     time.Duration // how long all of them took together
	Err      string        // why it failed the last time; "" if it did not
	// Points is what became of the points that were sent to it: how many were "accepted", and how many were not, by a word
	// that says why. nil: it is not sent any.
	Points map[string]uint64
}

// Meter keeps the Stats of a source. One goroutine writes, any may read. The zero value with a Name
// is ready.
type Meter struct {
	Name string

	runs, failures, warnings atomic.Uint64
	last, busy, ok           atomic.Int64
	err                      atomic.Pointer[error]
}

// Record notes one run that ended at the moment at (a Boot time). It reports whether the source began to fail or to work again with it: the
// moment for one line in the log.
func (m *Meter) Record(at, took time.Duration, err error) (changed bool) {
	m.runs.Add(1)
	m.last.Store(int64(took))
	m.busy.Add(int64(took))
	failing := m.err.Load() != nil
	if err == nil {
		m.ok.Store(int64(at))
	}
	switch {
	case err != nil:
		m.failures.Add(1)
		m.keep(err)
	case failing:
		m.err.Store(nil)
	}
	return failing != (err != nil)
}

// Warn notes so many reservations.
func (m *Meter) Warn(n int) { m.warnings.Add(uint64(n)) }

// keep is apart from Record because taking the address of err moves it to the heap.
func (m *Meter) keep(err error) { m.err.Store(&err) }

// Stats reads the figures.
func (m *Meter) Stats() Stats {
	s := Stats{
		Name: m.Name, Runs: m.runs.Load(), Failures: m.failures.Load(), Warnings: m.warnings.Load(),
		Last: time.Duration(m.last.Load()), Busy: time.Duration(m.busy.Load()), Success: time.Duration(m.ok.Load()),
	}
	if err := m.err.Load(); err != nil {
		s.Err = brief((*err).Error())
	}
	return s
}

// longest is how much of an error is told: what others wrote may be in it.
const longest = 500

func brief(text string) string {
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}
