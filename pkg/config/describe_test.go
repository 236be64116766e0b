package config

import (
	"testing"
	"time"

	"github.com/salveops/salve/pkg/signal"
)

// TestDescribe: what a block says of a signal goes before what the catalogue says, whether or not a rule reads it.
func TestDescribe(t *testing.T) {
	s := &Service{
		Name: "web", Unit: "web.service", Every: 5 * time.Second,
		Probes: []*Probe{{Name: "health", Every: 10 * time.Second}},
		Pools:  []*Pool{{Name: "db", Every: 20 * time.Second}},
		Logs:   []*Log{{Name: "errors", Window: time.Minute}},
	}
	a := &Agent{Services: []*Service{s}, Logs: []*Log{{Name: "disk", Window: 2 * time.Minute}}}
	for _, c := range []struct {
		name, of    string
		every, span time.Duration
	}{
		{"probe.health.latency", "web", 10 * time.Second, 0},
		{"probe.other.latency", "web", time.Second, 0},
		{"pool.db.waiting", "web", 20 * time.Second, 0},
		{"log.errors.rate", "web", time.Second, time.Minute},
		{"log.errors.count", "web", time.Second, 0},
		{"unit.cpu", "web.service", 5 * time.Second, 0},
		{"unit.cpu", "other.service", time.Second, 0},
		{"unit.failed", "web.service", 0, 0},
		{`host.log["disk"].rate`, "", time.Second, 2 * time.Minute},
		{"host.cpu.busy", "", time.Second, 0},
	} {
		p, err := signal.ParsePath(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if in := a.Describe(p, c.of); in.Every != c.every || in.Span != c.span {
			t.Errorf("%s of %q: every %v, over %v; want %v and %v", c.name, c.of, in.Every, in.Span, c.every, c.span)
		}
	}
}
