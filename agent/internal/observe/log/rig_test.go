package log

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/agenttest/journaltest"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
)

const (
	boot    = "0123456789abcdef0123456789abcdef"
	earlier = "fedcba9876543210fedcba9876543210"
)

// rig is a watcher over a journal that the test writes, at the moments that the test says.
type rig struct {
	*Watcher
	t      *testing.T
	folder string
	now    time.Duration
	story  *storyLog
}

// storyLog keeps what the watcher told in its log.
type storyLog struct {
	hclog.Logger
	lines []string
}

func (s *storyLog) Warn(msg string, _ ...any) { s.lines = append(s.lines, msg) }
func (s *storyLog) Info(msg string, _ ...any) { s.lines = append(s.lines, msg) }

// still is a clock that only names the boot: ticks are given their moments.
type still struct{}

func (still) Now() clock.Instant { return clock.Instant{} }
func (still) BootID() string     { return boot[:8] + "-" + boot[8:] }

func newRig(t *testing.T, targets ...Target) *rig {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "var/log/journal/m")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, folder: folder, now: 1000 * time.Second}
	r.start(targets...)
	return r
}

// start makes another watcher over the same journal, as after a restart of the agent.
func (r *rig) start(targets ...Target) {
	r.story = &storyLog{Logger: hclog.NewNullLogger()}
	r.Watcher = newStill(r.folder, r.story)
	r.reader.time = func() time.Duration { return 0 }
	r.SetTargets(targets)
	r.t.Cleanup(r.journal.close)
}

// newStill is a watcher on a machine that never slept, whose moments are given.
func newStill(folder string, log hclog.Logger) *Watcher {
	w := New(Options{Options: source.Options{Clock: still{}, Log: log, Book: source.NewBook()}, Folders: []string{folder}, Own: "own.service"})
	w.slept = func() time.Duration { return 0 }
	return w
}

// write writes lines of a unit, all of this moment.
func (r *rig) write(unit string, texts ...string) { r.t.Helper(); r.writeAt(r.now, unit, texts...) }

func (r *rig) writeAt(at time.Duration, unit string, texts ...string) {
	r.t.Helper()
	var entries []journaltest.Entry
	for _, text := range texts {
		entries = append(entries, journaltest.Entry{Boot: boot, At: at, Unit: unit, Text: text})
	}
	r.entries(entries...)
}

func (r *rig) entries(entries ...journaltest.Entry) {
	r.t.Helper()
	journaltest.Remote(r.t, filepath.Join(r.folder, system), nil, entries...)
}

// rotate does what journald does.
func (r *rig) rotate(name string) {
	r.t.Helper()
	if err := os.Rename(filepath.Join(r.folder, system), filepath.Join(r.folder, name)); err != nil {
		r.t.Fatal(err)
	}
}

// unknown stands for a sample without a value.
const unknown = -1

// look is what the next tick tells, by signal.
func (r *rig) look() map[string]float64 {
	r.t.Helper()
	b := r.tick(r.now)
	if b == nil {
		return nil
	}
	defer b.Release()
	m := map[string]float64{}
	for _, s := range b.Samples {
		m[s.Handle.Key.String()] = unknown
		if s.Known {
			m[s.Handle.Key.String()] = s.Value
		}
	}
	return m
}

// want looks, and compares some of the signals.
func (r *rig) want(want map[string]float64) {
	r.t.Helper()
	got := r.look()
	for name, v := range want {
		if g, ok := got[name]; !ok || g < v-1e-9 || g > v+1e-9 {
			r.t.Errorf("%s = %v (there: %v), want %v", name, g, ok, v)
		}
	}
}

func errorsOf(unit string) Target {
	return Target{Service: "web", Name: "errors", Unit: unit, Match: regexp.MustCompile(`error( (?P<code>\d+))?`)}
}

const (
	rate  = "log.errors.rate{web}"
	count = "log.errors.count{web}"
)
