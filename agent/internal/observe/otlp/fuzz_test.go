package otlp

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/salveops/salve/pkg/metric"
)

// FuzzRequests: whatever several requests in a row hold, taking them ends, what is known is a number, a share is not below
// zero, and no more is kept than may be.
func FuzzRequests(f *testing.F) {
	definitions := []metric.Definition{ratio(f, "n{a='b'}", "n"), rate(f, "n"), quantile(f, 0.9, "h"), rate(f, "h_count"),
		gauge(f, "g", metric.Sum)}
	r := newRig(f, definitions...)
	var seeds [][]byte
	for i := range 3 {
		seeds = append(seeds, marshal(f, request(r.from,
			r.sum("n", r.number("a=b", float64(i)), r.number("", 10)), r.grown("n", r.number("a=c", 1)), r.gauge("g", r.number("", -1)),
			r.histogram("h", "", []float64{1, 2}, 1, uint64(i), 3), r.exponential("h", int32(i), -1, 1, uint64(i)))))
		r.pass(every)
	}
	f.Add(bytes.Join(seeds, []byte("\x00\x00")))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newRig(t, definitions...)
		for text := range bytes.SplitSeq(b, []byte("\x00\x00")) {
			r.pass(every)
			_, _ = r.door.take(text)
			r.table.end(r.clock.now.Boot)
			for i := range definitions {
				v := r.table.figure(i)
				if v.Known && (v.Fault != nil || math.IsNaN(v.Value) || math.IsInf(v.Value, 0) || i < 4 && v.Value < 0) {
					t.Errorf("figure %d is %+v", i, v)
				}
			}
			if r.table.buckets > maxBuckets || len(r.table.streams) > maxStreams {
				t.Errorf("%d buckets and %d series are kept", r.table.buckets, len(r.table.streams))
			}
		}
	})
}

// BenchmarkTake takes requests of 1,000 points that were there before, from the bytes to the sums. A metric of a block is
// made of them.
func BenchmarkTake(b *testing.B) {
	for name, make := range map[string]func(r *rig, v int) []*metrics.Metric{
		"counters": func(r *rig, v int) []*metrics.Metric {
			var points []*metrics.NumberDataPoint
			for i := range 1000 {
				points = append(points, r.number(fmt.Sprintf("code=200,method=GET,route=/api/v1/item/%d", i), float64(v)))
			}
			return []*metrics.Metric{r.sum("n", points...)}
		},
		"histograms": func(r *rig, v int) []*metrics.Metric {
			m := r.histogram("h", "", nil, 0)
			m.GetHistogram().DataPoints = nil
			for i := range 1000 {
				one := r.histogram("h", fmt.Sprintf("code=200,method=GET,route=/api/v1/item/%d", i),
					[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, uint64(v))
				m.GetHistogram().DataPoints = append(m.GetHistogram().DataPoints, one.GetHistogram().GetDataPoints()...)
			}
			return []*metrics.Metric{m}
		},
		"unwanted": func(r *rig, v int) []*metrics.Metric {
			m := r.sum("other")
			for i := range 1000 {
				m.GetSum().DataPoints = append(m.GetSum().DataPoints, r.number(fmt.Sprintf("route=/api/v1/item/%d", i), float64(v)))
			}
			return []*metrics.Metric{m}
		},
	} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, ratio(b, "n{code=~'5..'}", "n"), quantile(b, 0.9, "h"))
			var requests [][]byte
			for v := range 50 { // less than a minute of them, which then come again as a process that begins anew
				r.pass(every)
				requests = append(requests, marshal(b, request(r.from, make(r, v)...)))
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(requests[0])))
			i := 0
			for b.Loop() {
				if i%len(requests) == 0 {
					b.StopTimer()
					r.table.begin(r.clock.now)
					b.StartTimer()
				}
				if _, err := r.door.take(requests[i%len(requests)]); err != nil {
					b.Fatal(err)
				}
				i++
			}
			b.ReportMetric(float64(i)*1000/b.Elapsed().Seconds(), "points/s")
			if name != "unwanted" && r.table.accepted != uint64(i)*1000 {
				b.Fatalf("%d points of %d requests were accepted: %v", r.table.accepted, i, r.table.complaint(r.clock.now.Boot))
			}
		})
	}
}
