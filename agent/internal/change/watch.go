package change

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/observe/notice"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/config"
)

const (
	calm     = 200 * time.Millisecond // what comes within that is looked at together
	progress = time.Second            // how often a package transaction is followed while one runs
)

// keySeen is what the watcher has seen, in the store of the log.
const keySeen = "seen"

// Options of a Watcher. All but Root are required.
type Options struct {
	Log   *Log
	Store Store
	// Units are all that are watched, none while systemd is out of reach.
	Units  func() []systemd.Unit
	Logger hclog.Logger
	Root   string // prefix of the package managers' files and of /proc; "" on a real host
}

// Watcher notices changes that nobody records. It looks when the kernel or systemd announces something, and then at
// everything: what has not changed says nothing.
//
//	inotify: folders of links, programs, dpkg's updates ─┐
//	systemd: a unit moved, unit files read again ────────┴─► 200 ms ─► look ─► what differs from what was seen ─► Log
type Watcher struct {
	o      Options
	poller *notice.Poller // nil: the kernel announces nothing
	poke   chan struct{}

	mu       sync.Mutex
	services []*config.Service
	reloaded bool // unit files were read again

	seen    seen
	changed bool              // seen is not in the store
	open    map[string]Change // of the package transaction under way, by service
	names   map[string][]string
	watched map[string]watch
	failed  map[string]bool // paths that cannot be followed, said once
}

// watch is a folder that the kernel watches.
type watch struct {
	identity string
	stop     func()
}

// seen is what there was at the last look. It outlives the process, so that what happens meanwhile is noticed.
type seen struct {
	Files    map[string]map[string]string `json:"files"`    // unit → path → digest
	Releases map[string]string            `json:"releases"` // link → where it leads
	Runs     map[string]run               `json:"runs"`     // unit → its last life
	Packages map[string]place             `json:"packages"` // log → how far it was read
}

// run is a life of a unit, with the program that it began with.
type run struct {
	Invocation string `json:"invocation"`
	Program    string `json:"program"`          // where its path led
	File       string `json:"file"`             // its identity
	Change     uint64 `json:"change,omitempty"` // that replaced it; 0: none
}

// NewWatcher makes a watcher of nothing.
func NewWatcher(o Options) (*Watcher, error) {
	w := &Watcher{o: o, poke: make(chan struct{}, 1), watched: map[string]watch{}, failed: map[string]bool{}}
	if _, err := o.Store.Get(keySeen, &w.seen); err != nil {
		return nil, err
	}
	w.seen.fill()
	return w, nil
}

func (s *seen) fill() {
	if s.Files == nil {
		s.Files = map[string]map[string]string{}
	}
	if s.Releases == nil {
		s.Releases = map[string]string{}
	}
	if s.Runs == nil {
		s.Runs = map[string]run{}
	}
	if s.Packages == nil {
		s.Packages = map[string]place{}
	}
}

// Aim says which services there are.
func (w *Watcher) Aim(services []*config.Service) {
	w.mu.Lock()
	w.services = services
	w.mu.Unlock()
	w.wake()
}

// Hear takes an event of systemd. It returns at once.
func (w *Watcher) Hear(ev systemd.Event) {
	switch ev.Kind {
	case systemd.Reloaded, systemd.Connected:
		w.mu.Lock()
		w.reloaded = true
		w.mu.Unlock()
	case systemd.Changed:
	default:
		return
	}
	w.wake()
}

func (w *Watcher) wake() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// Run looks whenever there may be something to see, until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	poller, err := notice.New()
	if err != nil {
		w.o.Logger.Warn("kernel events are not available: changed links and replaced programs are seen late", "error", err)
	} else {
		w.poller = poller
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := poller.Run(ctx); err != nil {
				w.o.Logger.Warn("kernel events are lost: changed links and replaced programs are seen late", "error", err)
			}
		}()
		defer func() { <-done }()
	}
	w.closeOpen()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.poke:
			timer.Reset(calm) // what comes meanwhile waits in poke
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
			}
		case <-timer.C:
		}
		w.look()
		if len(w.open) > 0 {
			timer.Reset(progress)
		}
	}
}

// closeOpen ends what an earlier process left open.
func (w *Watcher) closeOpen() {
	for _, x := range w.o.Log.All() {
		if x.Open {
			x.Open = false
			w.o.Log.put(x)
		}
	}
}

// look compares everything with what was seen.
func (w *Watcher) look() {
	w.mu.Lock()
	services, reloaded := w.services, w.reloaded
	w.reloaded = false
	w.mu.Unlock()
	units := w.o.Units()
	owners := map[string]*config.Service{}
	for _, u := range units {
		for _, s := range services {
			if s.Covers(u.Name) {
				owners[u.Name] = s
			}
		}
	}
	dirs := map[string]bool{}
	w.packages(units, owners, dirs)
	for _, s := range services {
		w.release(s, dirs)
	}
	for _, u := range units {
		if s := owners[u.Name]; s != nil {
			w.files(u, s, reloaded)
			w.program(u, s, dirs)
		}
	}
	w.follow(dirs)
	if len(units) > 0 { // instances come and go for ever
		w.forget(owners)
	}
	if w.changed {
		w.changed = false
		if err := w.o.Store.PutSoon(keySeen, w.seen); err != nil {
			w.changed = true
		}
	}
}

// forget drops what was seen of units that are not there any more.
func (w *Watcher) forget(there map[string]*config.Service) {
	before := len(w.seen.Files) + len(w.seen.Runs)
	maps.DeleteFunc(w.seen.Files, func(unit string, _ map[string]string) bool { return there[unit] == nil })
	maps.DeleteFunc(w.seen.Runs, func(unit string, _ run) bool { return there[unit] == nil })
	w.changed = w.changed || len(w.seen.Files)+len(w.seen.Runs) != before
}

func (w *Watcher) put(x Change) Change {
	x.By = ByAgent
	return w.o.Log.put(x)
}

// files looks at the unit files that systemd has read.
func (w *Watcher) files(u systemd.Unit, s *config.Service, reloaded bool) {
	before, known := w.seen.Files[u.Name]
	if known && !reloaded || u.Load != "loaded" {
		return
	}
	now := unitFiles(u)
	if known && maps.Equal(before, now) {
		return
	}
	if what := filesChanged(before, now); known && what != "" {
		w.put(Change{Kind: "unit", Service: s.Name, Text: what})
	}
	w.seen.Files[u.Name], w.changed = now, true
}

// follow lets the kernel watch these folders and no others.
func (w *Watcher) follow(dirs map[string]bool) {
	if w.poller == nil {
		return
	}
	for dir, x := range w.watched {
		if !dirs[dir] || identity(dir) != x.identity {
			x.stop()
			delete(w.watched, dir)
		}
	}
	for dir := range dirs {
		if _, ok := w.watched[dir]; ok {
			continue
		}
		if stop, err := w.poller.Entries(dir, w.wake); err == nil {
			w.watched[dir] = watch{identity(dir), stop}
			w.wake() // what happened just before nobody told
		}
	}
}
