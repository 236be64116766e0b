package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/snapshot"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/remedy"
)

const (
	lookEvery   = time.Second
	mostGood    = 5                   // versions that are remembered of one subject
	forgetAfter = 30 * 24 * time.Hour // what a service that is not configured any more has shown
)

// Good is a version that has run well.
type Good struct {
	Version
	At clock.Stamp `json:"at"` // when it had last run well for long enough
}

// Store keeps records across restarts; *journal.Space is one.
type Store interface {
	Put(key string, v any) error
	DeleteSoon(key string) error
	Each(f func(key string, decode func(v any) error) error) error
}

// Options of a Learner. All are required, but for Data.
type Options struct {
	Data  string // the agent's own folder; "": it has none, and nothing is learned of files
	Store Store
	Clock clock.Clock
	// Unit is a unit as it is now; false: nothing is known of it.
	Unit func(name string) (systemd.Unit, bool)
	// Well says of each service whether all that is asked about it is known, and good.
	Well func(ctx context.Context) (map[string]bool, error)
	Log  hclog.Logger
}

// Learner finds out which versions run well. Its methods may be called from any goroutine.
type Learner struct {
	o Options

	mu      sync.Mutex
	watched map[string]*watched // by key
	good    map[string][]Good   // by key, the newest first

	runs   map[string]*run // by key; only look touches them
	failed map[string]bool // subjects that cannot be looked at, said once
}

// watched is a subject of a service, with what tells which of its versions is run.
type watched struct {
	*remedy.Return
	service string
	subject Subject
}

// keyOf is what a subject of a service is known by here and in the store: a service has one of each kind of remedy.
func keyOf(service string, k remedy.Kind) string { return string(k) + " " + service }

// run is what has been seen of a subject since this version is in place.
type run struct {
	Version
	set   time.Duration // when it was put in place, or a little later
	seen  time.Duration // last look at it
	began time.Duration // when its units began to run it
	well  time.Duration // since when all has been well with it; 0: it is not
	known bool          // that is on disk
}

// NewLearner reads what an earlier process learned.
func NewLearner(o Options) (*Learner, error) {
	l := &Learner{o: o, good: map[string][]Good{}, runs: map[string]*run{}, failed: map[string]bool{}}
	err := o.Store.Each(func(key string, decode func(any) error) error {
		var list []Good
		err := decode(&list)
		l.good[key] = list
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what ran well: %w", err)
	}
	return l, nil
}

// Aim says which services there are.
func (l *Learner) Aim(services []*config.Service) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watched = map[string]*watched{}
	for _, s := range services {
		for _, r := range s.Remedies {
			if a, ok := r.Args.(remedy.Returning); ok {
				l.watched[keyOf(s.Name, r.Kind)] = &watched{Return: a.Returns(), service: s.Name, subject: l.subjectOf(s.Name, a)}
			}
		}
	}
	for key, list := range l.good {
		if l.watched[key] == nil && (len(list) == 0 || list[0].At.Age(clock.Now(l.o.Clock)) > forgetAfter) {
			delete(l.good, key)
			err := l.o.Store.DeleteSoon(key)
			if service, ok := strings.CutPrefix(key, keyOf("", remedy.RollbackFiles)); ok {
				err = errors.Join(err, snapshot.Drop(l.o.Data, service))
			}
			if err != nil {
				l.o.Log.Warn("what a service ran that is gone is not forgotten", "of", key, "error", err)
			}
		}
	}
}

// Good are the versions of a service's subject that have run well, the newest first: those that a remedy of that kind may go
// back to.
func (l *Learner) Good(service string, k remedy.Kind) []Good {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.good[keyOf(service, k)])
}

// Run looks each second, until ctx ends.
func (l *Learner) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		l.mu.Lock()
		all := l.watched
		l.mu.Unlock()
		if len(all) == 0 {
			continue
		}
		well, err := l.o.Well(ctx)
		if err != nil {
			continue // the agent stops
		}
		for key, w := range all {
			l.look(key, w, well[w.service])
		}
	}
}

// look looks at one subject.
//
//	a version is put in place ─► its units were started since ─► all is well for good_after ─► kept and known
//	            ▲                            ▲                            │
//	            └── another one is           └── started anew, or ill ◄───┘
func (l *Learner) look(key string, w *watched, well bool) {
	now, r := l.o.Clock.Now(), l.runs[key]
	state, err := w.subject.Look()
	if err != nil {
		if !l.failed[key] {
			l.o.Log.Warn("what a service runs cannot be known, so that nothing is learned of it", "of", key, "error", err)
		}
		if l.failed[key] = true; r != nil {
			r.well = 0
		}
		return
	}
	delete(l.failed, key)
	if r == nil || r.Version != state.Version {
		set := min(now.Boot, now.Boot-state.Age)
		if r != nil {
			set = max(set, r.seen) // whatever happened to the clock: then another one was in place
		}
		r = &run{Version: state.Version, set: set}
		l.runs[key] = r
	}
	if r.seen > 0 && now.Boot-r.seen > max(10*lookEvery, w.GoodAfter/10) {
		r.well = 0 // the machine slept, or nobody looked: how it ran meanwhile nobody knows
	}
	r.seen = now.Boot
	if state.Marked {
		l.forgetOthers(key, w, r.Version)
	}
	switch began, ok := l.began(w.Return); {
	case !ok || !well || began < r.set:
		r.well = 0
		return
	case r.well == 0 || began != r.began:
		r.well, r.began, r.known = now.Boot, began, false
	}
	if !r.known && now.Boot-r.well >= w.GoodAfter {
		if r.known = l.learn(key, w, Good{r.Version, clock.At(l.o.Clock, now)}); !r.known {
			r.well = now.Boot // it has to show it again, and the disk has that time
		}
	}
}

// began is when the last of the units began to run what it runs; false when one of them does not.
func (l *Learner) began(a *remedy.Return) (last time.Duration, ok bool) {
	for _, name := range a.Units {
		u, known := l.o.Unit(name)
		if !known || u.Active != "active" || u.Job != 0 {
			return 0, false
		}
		at := cmp.Or(u.ExecMainStart, u.ActiveEnter)
		if a.Reload {
			at = max(at, u.Changed) // a reload shows in the state
		}
		last = max(last, at)
	}
	return last, len(a.Units) > 0
}

// learn remembers that a version ran well. It reports whether that is on disk, with what it takes to come back; before that it is
// not known.
func (l *Learner) learn(key string, w *watched, g Good) bool {
	if err := w.subject.Keep(g.Version); err != nil {
		l.o.Log.Warn("what it takes to come back to what ran well is not kept", "of", key, "version", g.Name, "error", err)
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(l.good[key]), func(old Good) bool { return old.Version == g.Version })
	list = slices.Insert(list, 0, g)
	list = list[:min(mostGood, len(list))]
	if !l.put(key, list) {
		return false
	}
	l.good[key] = list
	l.o.Log.Info("a version has run well", "of", key, "version", g.Name)
	l.tidy(key, w)
	return true
}

// forgetOthers forgets all versions but one, from which there is no way back.
func (l *Learner) forgetOthers(key string, w *watched, v Version) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(l.good[key]), func(g Good) bool { return g.Version != v })
	if len(list) == len(l.good[key]) {
		return
	}
	l.good[key] = list // also if the disk does not take it
	l.put(key, list)
	l.o.Log.Info("there is no way back from a version", "of", key, "version", v.Name)
	l.tidy(key, w)
}

// tidy drops what was kept for versions that are not known any more.
func (l *Learner) tidy(key string, w *watched) {
	if err := w.subject.Forget(l.good[key]); err != nil {
		l.o.Log.Warn("what was kept to come back to what is forgotten stays", "of", key, "error", err)
	}
}

// put writes down what is known of a subject.
func (l *Learner) put(key string, list []Good) bool {
	err := l.o.Store.Put(key, list)
	if err != nil {
		l.o.Log.Warn("what ran well cannot be written down", "of", key, "error", err)
	}
	return err == nil
}
