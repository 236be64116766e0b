package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/salveops/salve/packaging/lab/bench/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFlags(t *testing.T) {
	r := flags([]string{"--only", "controller", "--seed", "7", "--go=false", "--callers", "2,8", "--rest", "3s", "--session-rest", "4s"})
	if diff := cmp.Diff([]string{"controller"}, r.only); diff != "" {
		t.Error(diff)
	}
	c := r.controller
	if c.Out != "controller/BENCHMARKS.md" || r.agent.Out != "agent/BENCHMARKS.md" || c.GoBench || c.Seed != 7 || c.Control.Seed != 7 ||
		c.Control.Rest.Seconds() != 4 || r.agent.Rest.Seconds() != 3 || c.Control.Log == nil || r.agent.Log == nil {
		t.Errorf("%+v", r)
	}
	s := flags([]string{"--agent", "a", "--service", "b", "--monit", "c", "--out", "d", "--sources-rest", "3s"}).sources
	if s.Agent != "a" || s.Service != "b" || s.Monit != "c" || s.Out != "d" || s.Rest.Seconds() != 3 || s.Log == nil {
		t.Errorf("%+v", s)
	}
	if diff := cmp.Diff([]int{2, 8}, c.Control.Callers); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(control.Parts(), c.Control.Parts); diff != "" {
		t.Error(diff)
	}
}

// Quick is quick whatever the other flags say, for all parts.
func TestQuick(t *testing.T) {
	full, quick := flags(nil), flags([]string{"--quick"})
	if quick.agent.Tries >= full.agent.Tries || quick.controller.Control.Kills >= full.controller.Control.Kills ||
		quick.controller.Control.Measure >= full.controller.Control.Measure || len(full.only) != 3 ||
		quick.sources.Tries >= full.sources.Tries || quick.sources.Rest >= full.sources.Rest {
		t.Errorf("quick: %+v", quick)
	}
}

func TestOnlyRefuses(t *testing.T) {
	err := request{only: []string{"world"}}.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "--only world") {
		t.Errorf("error %v", err)
	}
}
