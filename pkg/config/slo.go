package config

import (
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/signal"
	"github.com/salveops/salve/pkg/slo"
)

// Bounds of objectives. Each of them takes some 26 KB of the agent.
const (
	lowest        = 0.5
	highest       = 0.99999
	longestBudget = 90 * day
)

func sloKind() *kind {
	return &kind{
		labels: []string{"name"},
		blocks: []string{"spent"},
		attrs: []attr{
			{name: "objective", typ: share, required: true},
			{name: "window", typ: duration, def: defaults.SLOWindow, least: int64(day), most: int64(longestBudget)},
			{name: "probe", typ: text}, {name: "errors", typ: text}, {name: "traffic", typ: text},
		},
	}
}

// spentKind has no autonomy that could let more be done than without it.
func spentKind() *kind {
	return &kind{attrs: []attr{
		{name: "autonomy", typ: text, words: []string{string(Observe)}},
		{name: "severity", typ: text, words: severities()},
	}}
}

// decodeSLO reads an objective of the service, whose probes and metrics have been read.
func (l *loader) decodeSLO(b *block, s *Service) *SLO {
	faults := len(l.diags)
	o := &SLO{Objective: b.share("objective"), Range: b.header}
	wrong := len(l.diags) > faults // and said already
	o.Name, o.Window = b.name("slo", checkWord), b.duration("window")
	o.Probe, o.Errors, o.Traffic = b.text("probe"), b.text("errors"), b.text("traffic")
	if b.has("objective") && !wrong && !(o.Objective >= lowest && o.Objective <= highest) {
		b.fail("objective", "Out of bounds", "objective is the share that must be good, from 50 * percent to "+
			"99.999 * percent.")
	}
	b.one("probe", "errors")
	if b.has("traffic") && !b.has("errors") {
		b.fail("traffic", "Not for this objective", "traffic weighs errors; a probe is counted by time.")
	}
	if b.has("probe") {
		b.probe(s, o.Probe)
	}
	b.metric(s, "errors", signal.Ratio)
	b.metric(s, "traffic", signal.PerSecond)
	if g := b.single("spent"); g != nil {
		o.Spent = Gate{Autonomy: Autonomy(g.text("autonomy")), Severity: Severity(g.text("severity"))}
		if o.Spent == (Gate{}) && len(l.diags) == faults {
			l.fail(g.header, "Missing key", "A spent block without autonomy and severity changes nothing.")
		}
	}
	return o
}

func (b *block) probe(s *Service, name string) {
	var known []string
	for _, p := range s.Probes {
		known = append(known, p.Name)
	}
	if !slices.Contains(known, name) {
		b.fail("probe", "Unknown probe", "The service has no probe %q.%s", name, meant(name, known))
	}
}

// metric checks that the key, if it is there, names a metric of the service that is what it must be.
func (b *block) metric(s *Service, key string, dim signal.Dimension) {
	if !b.has(key) {
		return
	}
	name := b.text(key)
	var known []string
	for _, m := range s.metrics() {
		known = append(known, m.Name)
	}
	switch m := s.Metric(name); {
	case m == nil:
		b.fail(key, "Unknown metric", "The service has no metric %q.%s", name, meant(name, known))
	case m.Dim != dim:
		b.fail(key, "Wrong metric", "%s must be a metric that is %s, and %q is %s.", key, dim, name, m.Dim)
	}
}

// Sources are the signals that tell what is bad, and how much it weighs if that is not the time.
func (o *SLO) Sources() []signal.Path {
	if o.Probe != "" {
		return []signal.Path{{Family: "probe", Key: o.Probe, Field: "ok"}}
	}
	from := []signal.Path{{Family: signal.Metric, Field: o.Errors}}
	if o.Traffic != "" {
		from = append(from, signal.Path{Family: signal.Metric, Field: o.Traffic})
	}
	return from
}

// Signals are those that the objective gives: burn, slow_burn, budget and spent.
func (o *SLO) Signals() [4]signal.Path {
	p := signal.Path{Family: signal.SLO, Key: o.Name}
	var all [4]signal.Path
	for i, field := range []string{"burn", "slow_burn", "budget", "spent"} {
		p.Field = field
		all[i] = p
	}
	return all
}

// span is how far one of the objective's signals looks back.
func (o *SLO) span(field string) time.Duration {
	switch field {
	case "burn":
		return slo.Fast
	case "slow_burn":
		return slo.Slow
	}
	return o.Window
}

// definition is another number for each way to count. Where the block stands, and what follows from it, does not matter.
func (o *SLO) definition(s *Service) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%g %d %q %q %q", o.Objective, o.Window, o.Probe, o.Errors, o.Traffic)
	for _, p := range o.Sources() {
		fmt.Fprintf(h, " %d", s.Describe(p).Definition)
	}
	return h.Sum64()
}

// SLO finds an objective of the service by name; nil if there is none.
func (s *Service) SLO(name string) *SLO {
	return named(s.SLOs, name, func(o *SLO) string { return o.Name })
}
