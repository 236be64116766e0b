package agent

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/salveops/salve/agent/internal/baseline"
)

// keepEvery is how much of what was learned and counted a crash may cost.
const keepEvery = time.Hour

func (a *agent) baselineFile() string { return filepath.Join(a.config().Data, baseline.FileName) }

// baseline is what an earlier process kept. Where it cannot be read, conditions with anomaly() are unknown for a day, and
// objectives count anew.
func (a *agent) baseline() baseline.Contents {
	kept, err := baseline.Read(a.baselineFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.log.Warn("what is usual could not be read; anomaly() learns anew, and objectives count anew", "error", err)
	}
	return kept
}

// keep writes down what was learned and counted, now and then and at the end.
func (a *agent) keep(ctx context.Context) error {
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	for {
		over := false
		select {
		case <-ticker.C:
		case <-ctx.Done():
			over = true
		}
		kept, err := a.engine.Baseline(context.WithoutCancel(ctx))
		if err == nil && len(kept.Learned)+len(kept.Counts) > 0 {
			err = baseline.Write(a.baselineFile(), a.o.Clock.Now().Wall, kept)
		}
		if err != nil {
			a.log.Warn("what is usual could not be written down; a restart would learn and count it anew", "error", err)
		}
		if over {
			return nil
		}
	}
}
