package unit

import (
	"slices"
	"time"

	"github.com/salveops/salve/agent/internal/observe/schedule"
	"github.com/salveops/salve/agent/internal/observe/source"
)

// Least is the shortest period.
const Least = 100 * time.Millisecond

// Target is a unit to sample.
type Target struct {
	Name string // never a glob
	// Every is the period of all figures. 0 means 1 s.
	Every time.Duration
	// Memory is how often the memory figures, which can grow fast, are read in between while the host's
	// memory is getting less. 0, or more than Every, means Every.
	Memory time.Duration
}

func (t Target) normal() Target {
	if t.Every == 0 {
		t.Every = time.Second
	}
	t.Every = max(t.Every, Least)
	if t.Memory == 0 || t.Memory > t.Every {
		t.Memory = t.Every
	}
	t.Memory = max(t.Memory, Least)
	return t
}

// Options are what a Sampler needs.
type Options struct {
	Layout Layout
	Book   *source.Book                   // mandatory
	Grid   schedule.Grid                  // the moments at which units are sampled
	Needed func(signal, unit string) bool // nil: all signals of all units are needed
	Watch  Watcher                        // nil: what the kernel announces is seen at the next sample
	// Events, if Watch is set, is called from the watcher's goroutine when the kernel announced events of a
	// unit: OOM kills, or tasks that could not be started. It must not block.
	Events func(unit string)
}

// Sampler samples all units. It belongs to one goroutine, except Stats.
type Sampler struct {
	opt   Options
	units []*unit // sorted by name
	left  reserve
	meter source.Meter
	buf   [64 << 10]byte
}

// New makes a sampler without units.
func New(o Options) *Sampler {
	return &Sampler{opt: o, left: newReserve(o.Layout.root), meter: source.Meter{Name: "unit"}}
}

// SetTargets replaces the units to sample. Units that stay keep their open files; the signals of
// those that go become unknown.
func (s *Sampler) SetTargets(targets []Target, now time.Duration, b *source.Batch) {
	before := s.units
	s.units = nil
	for _, t := range targets {
		if t = t.normal(); s.find(t.Name) != nil {
			continue
		}
		u := &unit{target: t}
		if i := slices.IndexFunc(before, func(u *unit) bool { return u.target.Name == t.Name }); i >= 0 {
			u = before[i]
			before = slices.Delete(before, i, i+1)
			u.target = t
		}
		u.next, u.nextMem = 0, 0
		i, _ := s.search(t.Name)
		s.units = slices.Insert(s.units, i, u)
		s.needs(u)
	}
	for _, u := range before {
		u.close()
		u.unknown(now, b)
	}
}

// needs computes which signals of the unit are sampled; a change makes its files open anew.
func (s *Sampler) needs(u *unit) {
	var handles []*source.Handle
	for _, signal := range signals {
		if s.opt.Needed == nil || s.opt.Needed(signal, u.target.Name) {
			handles = append(handles, s.opt.Book.Handle(signal, u.target.Name))
		}
	}
	if !slices.Equal(handles, u.handles) {
		u.close()
		u.handles = handles
	}
}

// Started says that a new life of a unit began. Its files are opened at its next sample. A unit that
// is no target is ignored.
func (s *Sampler) Started(name string, run Run) {
	if u := s.find(name); u != nil {
		u.begin(run)
	}
}

// Gone says that a unit has no processes any more: its figures are unknown until it is started.
func (s *Sampler) Gone(name string, now time.Duration, b *source.Batch) {
	if u := s.find(name); u != nil && u.running {
		u.close()
		u.running, u.run = false, Run{}
		u.unknown(now, b)
	}
}

// Sample adds the figures of all units that are due at now.
func (s *Sampler) Sample(now time.Duration, b *source.Batch) {
	start, did := time.Now(), false
	var failed error
	early := slices.ContainsFunc(s.units, func(u *unit) bool { return u.early(now) }) && s.left.sunk(s.buf[:])
	for _, u := range s.units {
		all := u.running && now >= u.next
		if !all && !(early && u.early(now)) {
			continue
		}
		did = true
		if err := u.sample(s, now, b, all); err != nil {
			failed = err
		}
	}
	for _, u := range s.units {
		u.plan(s.opt.Grid, now)
	}
	if did {
		s.meter.Record(now, time.Since(start), failed)
	}
}

// early reports whether a look at the unit's memory is due before everything else of it is.
func (u *unit) early(now time.Duration) bool {
	return u.running && u.memory != nil && now < u.next && now >= u.nextMem
}

// plan sets when the unit is due again.
func (u *unit) plan(g schedule.Grid, now time.Duration) {
	if now >= u.next {
		u.next = g.Next(now, u.target.Every, 0)
	}
	if now >= u.nextMem {
		u.nextMem = g.Next(now, u.target.Memory, 0)
	}
}

// Next is when the next unit is due. It is false when there is none.
func (s *Sampler) Next() (at time.Duration, ok bool) {
	for _, u := range s.units {
		if !u.running {
			continue
		}
		due := u.next
		if u.memory != nil {
			due = min(due, u.nextMem)
		}
		if !ok || due < at {
			at, ok = due, true
		}
	}
	return at, ok
}

// Events adds at once what the kernel announces of a unit.
func (s *Sampler) Events(name string, now time.Duration, b *source.Batch) {
	u := s.find(name)
	if u == nil {
		return
	}
	for _, r := range u.readers { // which are closed when the unit has vanished
		if e, ok := r.(*events); ok && u.part(e, s, now, b) != nil {
			return
		}
	}
}

// Stats are the figures of the source about itself.
func (s *Sampler) Stats() source.Stats { return s.meter.Stats() }

// Close closes all files.
func (s *Sampler) Close() {
	s.left.file.Close()
	for _, u := range s.units {
		u.close()
	}
}

func (s *Sampler) search(name string) (int, bool) {
	return slices.BinarySearchFunc(s.units, name, func(u *unit, name string) int {
		switch {
		case u.target.Name < name:
			return -1
		case u.target.Name > name:
			return 1
		}
		return 0
	})
}

func (s *Sampler) find(name string) *unit {
	if i, ok := s.search(name); ok {
		return s.units[i]
	}
	return nil
}
