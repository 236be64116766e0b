package agent

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/salveops/salve/agent/internal/baseline"
	"github.com/salveops/salve/pkg/anomaly"
	"github.com/salveops/salve/pkg/series"
)

// keepEvery is how much of what detectors have learned a crash may cost.
const keepEvery = time.Hour

func (a *agent) baselineFile() string { return filepath.Join(a.config().Data, baseline.FileName) }

// learned is what an earlier process kept. Where it cannot be read, conditions with anomaly() are unknown for a day.
func (a *agent) learned() map[series.Key]*anomaly.Detector {
	learned, err := baseline.Read(a.baselineFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.log.Warn("what is usual could not be read; anomaly() learns anew", "error", err)
	}
	return learned
}

// keep writes down what detectors have learned, now and then and at the end.
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
		learned, err := a.engine.Learned(context.WithoutCancel(ctx))
		if err == nil && len(learned) > 0 {
			err = baseline.Write(a.baselineFile(), learned)
		}
		if err != nil {
			a.log.Warn("what is usual could not be written down; a restart would learn it anew", "error", err)
		}
		if over {
			return nil
		}
	}
}
