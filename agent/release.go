package agent

import (
	"context"

	"github.com/salveops/salve/agent/internal/release"
)

// buildReleases makes what learns which releases run well.
func (a *agent) buildReleases(context.Context) (err error) {
	a.releases, err = release.NewLearner(release.Options{
		Store: a.journal.Space("releases"), Data: a.cfg.Data, Clock: a.o.Clock, Unit: a.systemd.Unit,
		Well: func(ctx context.Context) (map[string]bool, error) { return a.engine.Well(ctx) },
		Log:  a.log.Named("release"),
	})
	if err == nil {
		a.releases.Aim(a.cfg.Services)
	}
	return err
}
