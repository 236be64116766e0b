package log

import (
	"cmp"
	"context"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/log/journalfile"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/signal"
)

// every is the period of looks at the journal. One at which nothing was written costs a handful of reads.
const every = time.Second

// Options are what a Watcher needs.
type Options struct {
	source.Options
	Folders []string // see Folders
	User    bool     // units belong to a user manager
	Own     string   // the agent's own unit, whose lines never count; "" means none
}

// Folders are where the journal of a machine may be, in the order in which they are looked at: what is below /run
// is the journal only until it is moved to the disk.
func Folders(root, machine string) []string {
	return []string{
		filepath.Join("/", root, "run/log/journal", machine), filepath.Join("/", root, "var/log/journal", machine),
	}
}

// Watcher looks for all targets. Its methods may be called from any goroutine.
type Watcher struct {
	opt    Options
	meter  source.Meter
	wake   chan struct{}
	reader reader

	mu      sync.Mutex
	journal journal
	streams []*stream
	targets []Target
	gone    []*source.Handle // of targets that are none any more
	fresh   bool             // the next look is the first one
	most    uint64           // how many lines it may read: mostLines, or fewer after one that took too long

	slept func() time.Duration // how long this machine was suspended since it booted
}

// New makes a watcher without targets.
func New(o Options) *Watcher {
	w := &Watcher{
		opt: o, meter: source.Meter{Name: "log"}, wake: make(chan struct{}, 1), slept: slept,
		journal: journal{folders: o.Folders, unit: "_SYSTEMD_UNIT", own: o.Own},
		reader:  reader{room: journalfile.NewRoom(longestLine), pick: rand.N[uint64], time: passed()},
	}
	if o.User {
		w.journal.unit = "_SYSTEMD_USER_UNIT"
	}
	return w
}

// slept is what CLOCK_BOOTTIME counts and CLOCK_MONOTONIC does not.
func slept() time.Duration {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - mono.Nano())
}

// passed is a clock that measures.
func passed() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

// SetTargets replaces the targets. When they are not the same as before, all are looked for anew, over the last
// window.
func (w *Watcher) SetTargets(targets []Target) {
	for i, t := range targets {
		targets[i] = t.normal()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.EqualFunc(targets, w.targets, Target.equal) {
		return
	}
	for _, s := range w.streams {
		for _, l := range s.logs {
			w.gone = append(w.gone, l.rate, l.total)
		}
	}
	w.targets, w.streams = targets, nil
	for _, t := range targets {
		w.add(t)
	}
	w.begin()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Watcher) add(t Target) {
	i := slices.IndexFunc(w.streams, func(s *stream) bool { return s.service == t.Service })
	if i < 0 {
		i = len(w.streams)
		w.streams = append(w.streams, &stream{service: t.Service, unit: t.Unit, except: t.Except})
	}
	path := signal.Path{Family: "log", Key: t.Name}
	if t.Service == "" {
		path.Family = "host.log"
	}
	handle := func(field string) *source.Handle {
		path.Field = field
		return w.opt.Book.Handle(path.String(), t.Service)
	}
	l := &log{Target: t, rate: handle("rate"), total: handle("count")}
	w.streams[i].logs = append(w.streams[i].logs, l)
}

// begin forgets what was read, so that the next look is the first one.
func (w *Watcher) begin() {
	w.journal.close()
	w.fresh, w.most = true, mostLines
	for _, s := range w.streams {
		for _, l := range s.logs {
			l.window = newWindow(l.Window)
		}
	}
}

// Run looks every second until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			w.mu.Lock()
			defer w.mu.Unlock()
			w.journal.close()
			return
		case <-w.wake:
		case <-timer.C:
		}
		now := w.opt.Clock.Now().Boot
		if b := w.tick(now); b != nil {
			w.opt.Deliver(b)
		}
		timer.Reset(w.opt.Grid.Next(now, every, 0) - w.opt.Clock.Now().Boot)
	}
}

// tick looks once. It returns nil where there is nothing to tell.
func (w *Watcher) tick(now time.Duration) *source.Batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.streams) == 0 && len(w.gone) == 0 {
		return nil
	}
	start := w.reader.time()
	m := moment{now: now, mono: now - w.slept(), boot: bootID(w.opt.Clock.BootID()), fresh: w.fresh}
	err := w.look(m)
	if w.meter.Record(now, w.reader.time()-start, err) {
		w.tell(err)
	}
	if err != nil {
		w.begin()
	} else {
		w.fresh = false
	}
	b := w.opt.Book.Batch()
	for _, h := range w.gone {
		b.Unknown(h, now)
	}
	w.gone = nil
	for _, s := range w.streams {
		for _, l := range s.logs {
			b.Maybe(l.rate, now, l.window.rate(), err == nil)
			b.Maybe(l.total, now, math.Round(l.count), err == nil)
		}
	}
	return b
}

// look reads what was written since the last look.
func (w *Watcher) look(m moment) error {
	var longest time.Duration
	for _, s := range w.streams {
		s.chains = s.chains[:0]
		for _, l := range s.logs {
			l.window.advance(second(m.now))
			longest = max(longest, l.Window)
		}
	}
	since := m.mono - longest
	if err := w.journal.refresh(m, since); err != nil {
		return err
	}
	if err := w.journal.find(w.streams, m, since, &w.reader); err != nil {
		return err
	}
	for _, f := range w.journal.open {
		if f.seen == f.head.Entries {
			continue
		}
		f.seen = f.head.Entries
		for _, c := range f.chains {
			c.stream.chains = append(c.stream.chains, c)
		}
	}
	if err := w.read(m); err != nil {
		return err
	}
	w.journal.leave()
	return nil
}

// read shares out what may be read: services that write little are read to the end, and those that write much have
// equal parts of the rest.
func (w *Watcher) read(m moment) error {
	for _, s := range w.streams {
		if err := s.measure(); err != nil {
			return err
		}
	}
	slices.SortStableFunc(w.streams, func(a, b *stream) int { return cmp.Compare(a.lines, b.lines) })
	start, left := w.reader.time(), w.most
	for i, s := range w.streams {
		others := len(w.streams) - i
		spent := w.reader.time() - start
		n, err := s.read(&w.reader, m, left/uint64(others), (mostTime-spent)/time.Duration(others))
		if err != nil {
			return err
		}
		left -= min(n, left)
		w.storm(s, m.now, n)
	}
	if read := w.most - left; w.reader.time()-start < mostTime {
		w.most = mostLines
	} else {
		w.most = max(1, read/2)
	}
	return nil
}

// calm is how long after a storm of lines it is over.
const calm = time.Minute

// storm writes one line when a service begins to write more than is looked at, and one when it is over.
func (w *Watcher) storm(s *stream, now time.Duration, read uint64) {
	switch {
	case read < s.lines:
		if !s.storm {
			w.opt.Log.Warn("too many lines, looking at a sample of them", "service", s.service, "lines", s.lines, "read", read)
		}
		s.storm, s.calmed = true, now+calm
	case s.storm && now >= s.calmed:
		s.storm = false
		w.opt.Log.Info("looking at all lines again", "service", s.service)
	}
}

func (w *Watcher) tell(err error) {
	if err != nil {
		w.opt.Log.Warn("journal cannot be read; the agent's user has to be in the group systemd-journal", "error", err)
		return
	}
	w.opt.Log.Info("journal can be read again")
}

// Stats are the figures of the source about itself; none without targets.
func (w *Watcher) Stats() []source.Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.streams) == 0 {
		return nil
	}
	return []source.Stats{w.meter.Stats()}
}

// Matches are the last lines of a unit that matched, "" being the kernel's.
func (w *Watcher) Matches(unit string) []Match {
	w.mu.Lock()
	streams := slices.Clone(w.streams) // a look sorts them
	w.mu.Unlock()
	var found []Match
	for _, s := range streams {
		for _, l := range s.logs {
			found = append(found, l.matches(unit)...)
		}
	}
	return found
}

// bootID reads a boot's name, as the kernel writes it.
func bootID(name string) (id journalfile.ID) {
	b, _ := hex.DecodeString(strings.ReplaceAll(name, "-", ""))
	copy(id[:], b)
	return id
}

// micros is a time of the journal.
func micros(n uint64) time.Duration {
	return time.Duration(min(n, math.MaxInt64/1000)) * time.Microsecond
}
