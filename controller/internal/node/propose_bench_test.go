package node

import (
	"fmt"
	"sync"
	"testing"
)

// BenchmarkPropose commits small entries on three nodes with one disk, from many callers side by side.
func BenchmarkPropose(b *testing.B) {
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("%d-callers", callers), func(b *testing.B) {
			f := newFleet(b, "ctl-1", "ctl-2", "ctl-3")
			f.tune = func(o *Options) { o.Profile = "default" }
			f.start("ctl-1", "ctl-2", "ctl-3")
			f.fill(1)
			leader, e := f.leader(), entry(b, pause("nginx.service"))
			b.ResetTimer()
			work := make(chan struct{})
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for range work {
						if err := leader.Propose(e).Error(); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
