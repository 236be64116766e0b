package release

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/remedy"
)

const (
	lookEvery   = time.Second
	mostGood    = 5                   // releases that are remembered of one service
	forgetAfter = 30 * 24 * time.Hour // what a service that is not configured any more has shown
)

// Good is a release that has run well.
type Good struct {
	Release
	At clock.Stamp `json:"at"` // when it had last run well for long enough
}

// Store keeps records across restarts; *journal.Space is one.
type Store interface {
	Put(key string, v any) error
	DeleteSoon(key string) error
	Each(f func(key string, decode func(v any) error) error) error
}

// Options of a Learner. All are required.
type Options struct {
	Store Store
	Clock clock.Clock
	// Unit is a unit as it is now; false: nothing is known of it.
	Unit func(name string) (systemd.Unit, bool)
	// Well says of each service whether all that is asked about it is known, and good.
	Well func(ctx context.Context) (map[string]bool, error)
	Log  hclog.Logger
}

// Learner finds out which releases run well. Its methods may be called from any goroutine.
type Learner struct {
	o Options

	mu       sync.Mutex
	services map[string]*remedy.RollbackArgs // by name, those that have a rollback
	good     map[string][]Good               // by service, the newest first

	runs   map[string]*run // by service; only look touches them
	failed map[string]bool // services whose link cannot be followed, said once
}

// run is what has been seen of a service since its link leads to a release.
type run struct {
	Release
	set   time.Duration // when the link was made to lead there, or a little later
	seen  time.Duration // last look at it
	began time.Duration // when its units began to run it
	well  time.Duration // since when all has been well with it; 0: it is not
	known bool          // that is on disk
}

// NewLearner reads what an earlier process learned.
func NewLearner(o Options) (*Learner, error) {
	l := &Learner{o: o, good: map[string][]Good{}, runs: map[string]*run{}, failed: map[string]bool{}}
	err := o.Store.Each(func(service string, decode func(any) error) error {
		var list []Good
		err := decode(&list)
		l.good[service] = list
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read which releases ran well: %w", err)
	}
	return l, nil
}

// Aim says which services there are.
func (l *Learner) Aim(services []*config.Service) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.services = map[string]*remedy.RollbackArgs{}
	for _, s := range services {
		for _, r := range s.Remedies {
			if a, ok := r.Args.(*remedy.RollbackArgs); ok {
				l.services[s.Name] = a
			}
		}
	}
	for name, list := range l.good {
		if l.services[name] == nil && (len(list) == 0 || list[0].At.Age(clock.Now(l.o.Clock)) > forgetAfter) {
			delete(l.good, name)
			if err := l.o.Store.DeleteSoon(name); err != nil {
				l.o.Log.Warn("releases of a service that is gone are not forgotten", "service", name, "error", err)
			}
		}
	}
}

// Good are the releases of a service that have run well, the newest first.
func (l *Learner) Good(service string) []Good {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.good[service])
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
		services := l.services
		l.mu.Unlock()
		if len(services) == 0 {
			continue
		}
		well, err := l.o.Well(ctx)
		if err != nil {
			continue // the agent stops
		}
		for name, a := range services {
			l.look(name, a, well[name])
		}
	}
}

// look looks at one service.
//
//	the link leads to a release ─► its units were started since ─► all is well for good_after ─► known
//	            ▲                            ▲                            │
//	            └── it leads elsewhere       └── started anew, or ill ◄───┘
func (l *Learner) look(name string, a *remedy.RollbackArgs, well bool) {
	now, r := l.o.Clock.Now(), l.runs[name]
	link, marked, err := see(a)
	if err != nil {
		if !l.failed[name] {
			l.o.Log.Warn("the release of a service cannot be known, so that nothing is learned of it", "service", name, "error", err)
		}
		if l.failed[name] = true; r != nil {
			r.well = 0
		}
		return
	}
	delete(l.failed, name)
	if r == nil || r.Release != link.Release {
		set := min(now.Boot, now.Boot-link.Age)
		if r != nil {
			set = max(set, r.seen) // whatever happened to the clock: then it led elsewhere
		}
		r = &run{Release: link.Release, set: set}
		l.runs[name] = r
	}
	r.seen = now.Boot
	if marked {
		l.forgetOthers(name, r.Release)
	}
	switch began, ok := l.began(a); {
	case !ok || !well || began < r.set:
		r.well = 0
		return
	case r.well == 0 || began != r.began:
		r.well, r.began, r.known = now.Boot, began, false
	}
	if !r.known && now.Boot-r.well >= a.GoodAfter {
		if r.known = l.learn(name, Good{r.Release, clock.At(l.o.Clock, now)}); !r.known {
			r.well = now.Boot // it has to show it again, and the disk has that time
		}
	}
}

// see is where the link leads, and whether there is no way back from there.
func see(a *remedy.RollbackArgs) (Link, bool, error) {
	p, err := Open(a.Link, a.Releases)
	if err != nil {
		return Link{}, false, err
	}
	defer p.Close()
	link, err := p.Current()
	if err != nil {
		return link, false, err
	}
	marked, err := p.Marked(link.Release, a.Marker)
	return link, marked, err
}

// began is when the last of the units began to run what it runs; false when one of them does not.
func (l *Learner) began(a *remedy.RollbackArgs) (last time.Duration, ok bool) {
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

// learn remembers that a release ran well. It reports whether that is on disk; before that it is not known.
func (l *Learner) learn(service string, g Good) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(l.good[service]), func(old Good) bool { return old.Release == g.Release })
	list = slices.Insert(list, 0, g)
	list = list[:min(mostGood, len(list))]
	if !l.put(service, list) {
		return false
	}
	l.good[service] = list
	l.o.Log.Info("a release has run well", "service", service, "release", g.Folder)
	return true
}

// forgetOthers forgets all releases but one, from which there is no way back.
func (l *Learner) forgetOthers(service string, r Release) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(l.good[service]), func(g Good) bool { return g.Release != r })
	if len(list) == len(l.good[service]) {
		return
	}
	l.good[service] = list // also if the disk does not take it
	l.put(service, list)
	l.o.Log.Info("there is no way back from a release", "service", service, "release", r.Folder)
}

// put writes down what is known of a service.
func (l *Learner) put(service string, list []Good) bool {
	err := l.o.Store.Put(service, list)
	if err != nil {
		l.o.Log.Warn("which releases ran well cannot be written down", "service", service, "error", err)
	}
	return err == nil
}
