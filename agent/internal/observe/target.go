package observe

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/observe/host"
	"github.com/salveops/salve/agent/internal/observe/unit"
	"github.com/salveops/salve/pkg/series"
)

// Targets are everything to observe.
type Targets struct {
	Units    []UnitTarget
	Probes   []ProbeTarget
	Scrapes  []ScrapeTarget
	StatsDs  []StatsDTarget
	OTLPs    []OTLPTarget
	Pools    []PoolTarget
	Contexts []ContextTarget
	Queries  []QueryTarget
	Logs     []LogTarget
	// Needs are the series that rules read. Signals that cost more than a read of one small file
	// (unit.fds, unit.psi.*, pressure announced by the kernel) are sampled only if they are among them.
	Needs []series.Key
	// Lean leaves out the cheap signals, too, unless they are among Needs.
	Lean bool
}

// needs is which signals are worth sampling.
type needs struct {
	keys map[series.Key]bool
	lean bool
}

func newNeeds(t Targets) *needs {
	n := &needs{keys: map[series.Key]bool{}, lean: t.Lean}
	for _, k := range t.Needs {
		n.keys[k] = true
	}
	return n
}

// host reports whether a signal of the host, or any of a keyed family, is needed.
func (n *needs) host(name string) bool {
	return !n.lean || n.prefix(name)
}

// prefix reports whether a key's signal is name, or an instance of the family name.
func (n *needs) prefix(name string) bool {
	for k := range n.keys {
		if rest, ok := strings.CutPrefix(k.Signal, name); ok && (rest == "" || rest[0] == '[' || rest[0] == '.') {
			return true
		}
	}
	return false
}

func (n *needs) equal(o *needs) bool {
	return o != nil && n.lean == o.lean && maps.Equal(n.keys, o.keys)
}

// SetTargets replaces what is observed. What stays as it is goes on undisturbed; the signals of what
// goes become unknown.
func (o *Observer) SetTargets(t Targets) {
	keep := map[string]bool{"": true} // the host
	for _, u := range t.Units {
		keep[u.Name] = true
	}
	for _, p := range t.Probes {
		keep[p.Service] = true
	}
	for _, p := range t.Scrapes {
		keep[p.Service] = true
	}
	for _, p := range t.StatsDs {
		keep[p.Service] = true
	}
	for _, p := range t.OTLPs {
		keep[p.Service] = true
	}
	for _, p := range t.Pools {
		keep[p.Service] = true
	}
	for _, l := range t.Logs {
		keep[l.Service] = true
	}
	o.book.Forget(func(k series.Key) bool { return !keep[k.Of] })
	n, units := newNeeds(t), slices.Clone(t.Units)
	o.order(func(now time.Duration, b *Batch) { o.adopt(n, units, now, b) })
	o.probes.SetTargets(slices.Clone(t.Probes))
	o.scrapes.SetTargets(t.Scrapes)
	o.statsds.SetTargets(t.StatsDs)
	o.otlps.SetTargets(t.OTLPs)
	o.pools.SetTargets(t.Pools)
	o.outside.SetTargets(t.Contexts)
	o.queries.SetTargets(t.Queries)
	o.logs.SetTargets(slices.Clone(t.Logs))
}

// adopt takes over new targets in the sampling goroutine.
func (o *Observer) adopt(n *needs, units []unit.Target, now time.Duration, b *Batch) {
	if !n.equal(o.needs) {
		o.needs = n
		opt := o.hostOptions()
		opt.Needed = n.host
		fresh := host.New(opt)
		o.mu.Lock()
		before := o.host
		o.host = fresh
		o.mu.Unlock()
		if before != nil {
			before.Close()
		}
		o.due = o.grid.Next(now, host.Every, 0)
		o.host.Sample(now, b) // the base that the next sample is compared with
		o.stall = o.watchPressure(o.stall)
	}
	o.units.SetTargets(units, now, b)
}

func (o *Observer) unitNeeded(signal, name string) bool {
	if !o.needs.lean && !unit.Costly(signal) {
		return true
	}
	return o.needs.keys[series.Key{Signal: signal, Of: name}]
}

// UnitFigures are the control group files of one life of a unit as they stand, for the evidence of an
// incident.
func (o *Observer) UnitFigures(run UnitRun) ([]UnitFigure, error) { return o.layout.Figures(run) }
