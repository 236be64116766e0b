package node

import (
	"cmp"
	"slices"
	"testing"
	"time"
)

// BenchmarkFailover kills the leader of three nodes on one disk again and again, and measures until a new one has
// committed an entry. Run it with -benchtime=20x.
func BenchmarkFailover(b *testing.B) {
	for _, profile := range []string{"default", "fast"} {
		b.Run(profile, func(b *testing.B) {
			f := newFleet(b, "ctl-1", "ctl-2", "ctl-3")
			f.tune = func(o *Options) { o.Profile = profile }
			f.start("ctl-1", "ctl-2", "ctl-3")
			index := f.fill(1)
			var took []time.Duration
			for b.Loop() {
				b.StopTimer()
				f.agree(index)
				name := f.leader().Name()
				b.StartTimer()
				began := time.Now()
				f.abort(name)
				index = f.commit(pause("after-the-crash"))
				took = append(took, time.Since(began))
				b.StopTimer()
				f.start(name)
				b.StartTimer()
			}
			slices.SortFunc(took, cmp.Compare)
			b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "ms-median")
			b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "ms-worst")
		})
	}
}

// BenchmarkStall lets all three disks stall for 200 ms at once, as one disk under three nodes does, with an entry
// under way, and counts the elections that come of it.
func BenchmarkStall(b *testing.B) {
	for _, profile := range []string{"default", "fast"} {
		b.Run(profile, func(b *testing.B) {
			f := newFleet(b, "ctl-1", "ctl-2", "ctl-3")
			stores := f.disks()
			tune := f.tune
			f.tune = func(o *Options) { tune(o); o.Profile = profile }
			f.start("ctl-1", "ctl-2", "ctl-3")
			f.fill(1)
			leader := f.leader()
			before := leader.Term()
			for b.Loop() {
				var resume []func()
				for _, s := range stores {
					resume = append(resume, s.Stall())
				}
				future := leader.Propose(entry(b, pause("under-way")))
				<-time.After(200 * time.Millisecond)
				for _, r := range resume {
					r()
				}
				if future.Error() != nil {
					leader = f.leader()
				}
			}
			b.ReportMetric(float64(f.leader().Term()-before)/float64(b.N), "elections/op")
		})
	}
}
