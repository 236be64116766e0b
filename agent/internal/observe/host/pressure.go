package host

import (
	"time"

	"github.com/salveops/salve/agent/internal/observe/psi"
	"github.com/salveops/salve/agent/internal/observe/source"
)

// pressure reads one file of /proc/pressure.
type pressure struct {
	gauge   *psi.Gauge
	handles []*source.Handle // some, and full where the kernel tells it for the whole host
}

func newPressure(kind string) func(Options, []*source.Handle) reader {
	return func(o Options, h []*source.Handle) reader {
		return &pressure{gauge: psi.NewGauge(o.path("proc/pressure/" + kind)), handles: h}
	}
}

func (p *pressure) read(now time.Duration, b *source.Batch, buf []byte) error {
	share, err := p.gauge.Read(now, buf)
	if err != nil || share.Early {
		return err
	}
	b.Maybe(p.handles[0], now, share.Some, share.Known)
	if len(p.handles) > 1 {
		b.Maybe(p.handles[1], now, share.Full, share.Known && share.HasFull)
	}
	return nil
}

func (p *pressure) close() { p.gauge.Close() }
