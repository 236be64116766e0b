package agent

import (
	"context"
	"errors"
	"slices"

	"github.com/salveops/salve/agent/internal/heal"
	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/version"
)

// backend is the agent as people see it through its socket: the engine, and what only the agent as a
// whole knows.
type backend struct {
	*heal.Engine
	agent *agent
}

var _ local.Backend = backend{}

// Status adds to the engine's what the other parts know.
func (b backend) Status(ctx context.Context) (local.Status, error) {
	s, err := b.Engine.Status(ctx)
	if err != nil {
		return s, err
	}
	a := b.agent
	a.mu.Lock()
	s.Config = local.Config{Files: a.cfg.Files, Digest: a.cfg.Digest, Loaded: a.loaded, Warnings: warnings(a.cfg),
		Refused: a.refused, Refusals: a.refusals, Bundles: a.bundles()}
	a.mu.Unlock()
	if s.Config.Refused != "" {
		s.Problems = append(s.Problems, "the last reload was refused, the old configuration holds: "+s.Config.Refused)
	}
	s.Version = version.Get().Version
	now := a.o.Clock.Now().Boot
	for _, st := range a.observer.Stats() {
		src := local.Source{Name: st.Name, Duration: st.Last, Age: -1,
			Successes: st.Runs - st.Failures, Failures: st.Failures, Warnings: st.Warnings, Points: st.Points}
		if st.Success > 0 {
			src.Age = now - st.Success
		}
		if st.Err != "" {
			src.Err = errors.New(st.Err)
		}
		s.Sources = append(s.Sources, src)
	}
	return s, nil
}

// Run runs a remedy by hand.
func (b backend) Run(ctx context.Context, r local.RunRequest, send func(local.Event) error) (local.RunResult, error) {
	return b.RunByHand(ctx, r, send)
}

// Reload reads the configuration again.
func (b backend) Reload(ctx context.Context, by string) (local.Reloaded, error) {
	return b.agent.Reload(ctx, by)
}

// compact sorts names and drops empty and repeated ones.
func compact(names []string) []string {
	names = slices.DeleteFunc(names, func(n string) bool { return n == "" })
	slices.Sort(names)
	return slices.Compact(names)
}
