package log

import (
	"sync"
	"time"

	"github.com/salveops/salve/agent/internal/observe/log/journalfile"
	"github.com/salveops/salve/agent/internal/observe/source"
)

const (
	// mostLines is how many lines are looked at in a second, of all services together; of more, a sample is.
	mostLines = 4000
	// mostTime bounds how long that may take.
	mostTime = 40 * time.Millisecond
	// longestLine is how much of a line is looked at, in bytes.
	longestLine = 2 << 10
)

// stream is the lines of one service, or of the kernel, and what is looked for in them.
type stream struct {
	service string
	unit    string // "": the kernel
	except  []string
	logs    []*log
	chains  []*chain // with entries that were not looked at
	lines   uint64   // how many there are

	storm  bool
	calmed time.Duration // when the storm is over, if all lines are looked at until then
}

// log is one regular expression over the lines of a stream.
type log struct {
	Target
	window      window
	count       float64 // matches since it was made
	matched     float64 // of this look
	rate, total *source.Handle

	mu   sync.Mutex
	kept [mostKept]line // the last matches, in a ring
	next int
}

// moment is one look at the journal.
type moment struct {
	now   time.Duration // clock.Instant.Boot
	mono  time.Duration // CLOCK_MONOTONIC at the same time
	boot  journalfile.ID
	fresh bool // the first look, back over a window: nothing of it is new
}

// at is when an entry was written, as a Boot time.
func (m moment) at(e *journalfile.Entry) time.Duration {
	return m.now - m.mono + micros(e.At)
}

// reader is what reading lines needs.
type reader struct {
	entry journalfile.Entry
	room  *journalfile.Room
	pick  func(n uint64) uint64 // a number below n
	time  func() time.Duration  // that passes
}

// measure counts the lines that were written since the last look.
func (s *stream) measure() error {
	s.lines = 0
	for _, c := range s.chains {
		n, err := c.data.Len()
		if err != nil {
			return err
		}
		c.end = max(n, c.next)
		s.lines += c.end - c.next
	}
	return nil
}

// read looks at the lines that were measured. Where there are more than most, it takes one of each run of so many, by
// chance, and counts it for all of the run. What is left when the time is over is taken to be like what was read. It
// reports how many lines it read.
func (s *stream) read(r *reader, m moment, most uint64, limit time.Duration) (read uint64, err error) {
	run := (s.lines + max(1, most) - 1) / max(1, most)
	start, left := r.time(), float64(s.lines)
	for _, l := range s.logs {
		l.matched = 0
	}
	for _, c := range s.chains {
		for c.next < c.end && (read == 0 || r.time()-start < limit) {
			n := min(run, c.end-c.next)
			if err := s.line(r, m, c, c.next+r.pick(n), float64(n)); err != nil {
				return read, err
			}
			c.next += n
			left -= float64(n)
			read++
		}
		c.next = c.end
	}
	for _, l := range s.logs {
		if left > 0 {
			l.add(m, m.now, l.matched*left/(float64(s.lines)-left))
		}
	}
	return read, nil
}

// line looks at the entry number i, which stands for weight lines.
func (s *stream) line(r *reader, m moment, c *chain, i uint64, weight float64) error {
	offset, err := c.data.Entry(i)
	if err != nil {
		return err
	}
	if err := c.file.Read(offset, &r.entry); err != nil {
		return err
	}
	if r.entry.Boot != m.boot {
		return nil
	}
	text, ok, err := c.file.Message(&r.entry, r.room)
	if err != nil || !ok {
		return err
	}
	at := m.at(&r.entry)
	for _, l := range s.logs {
		if !l.Match.Match(text) {
			continue
		}
		l.add(m, at, weight)
		l.keep(at, c.unit, text)
	}
	return nil
}

// add counts n matches of a moment.
func (l *log) add(m moment, at time.Duration, n float64) {
	l.matched += n
	l.window.add(second(at), n)
	if !m.fresh {
		l.count += n
	}
}
