package care

import (
	"time"

	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// Life is where a unit stands, as systemd told it last. Times are on the boot clock; zero means never.
type Life struct {
	Name        string
	Active      string        // "active", "failed", "inactive", "activating"…; "" is not known
	Result      string        // "success", "exit-code"…
	Restarts    uint32        // automatic ones by systemd
	ActiveEnter time.Duration // when it last became active
	Changed     time.Duration // when its state last changed
}

// Up reports whether the unit is up.
func (l Life) Up() bool { return l.Active == "active" || l.Active == "reloading" }

// Uptime is how long the unit has been up; 0 while it is not.
func (l Life) Uptime(now time.Duration) time.Duration {
	if !l.Up() {
		return 0
	}
	return max(0, now-l.ActiveEnter)
}

// Vitals are the signals of a unit that systemd tells by itself.
type Vitals struct {
	Active *series.Series

	failed, state, restarts, uptime *series.Series
	store                           *series.Store
}

// VitalSignals change with an event of systemd; the one that matters most goes first.
var VitalSignals = [...]string{"unit.failed", "unit.active", "unit.state", "unit.restarts", "unit.uptime"}

// OpenVitals opens the signals of a unit.
func OpenVitals(st *series.Store, unit string) *Vitals {
	open := func(field string) *series.Series {
		p := signal.Path{Family: "unit", Field: field}
		info, _ := signal.Lookup(p)
		return Open(st, p, unit, info)
	}
	return &Vitals{Active: open("active"), failed: open("failed"), state: open("state"),
		restarts: open("restarts"), uptime: open("uptime"), store: st}
}

// Open opens the series of a signal as it is described: see config.Agent.Describe.
func Open(st *series.Store, p signal.Path, of string, in signal.Info) *series.Series {
	return st.Open(series.Key{Signal: p.String(), Of: of},
		series.Options{Dim: in.Dim, Every: in.Every, Event: in.Event, Span: in.Span, Definition: in.Definition,
			Counter: in.Counter})
}

// Set gives every signal of the unit a sample. systemd's state holds until it says something else, so
// repeating it each tick is what makes "since the action" have samples.
func (v *Vitals) Set(at time.Duration, l Life) {
	v.Active.Set(at, truth(l.Up()))
	v.failed.Set(at, truth(l.Active == "failed"))
	v.state.Set(at, v.store.Intern(l.Active))
	v.restarts.Set(at, float64(l.Restarts))
	v.uptime.Set(at, l.Uptime(at).Seconds())
}

// Unknown says that nothing is known of the unit any more.
func (v *Vitals) Unknown(at time.Duration) {
	for _, s := range []*series.Series{v.Active, v.failed, v.state, v.restarts, v.uptime} {
		s.Unknown(at)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
