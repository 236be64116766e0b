package otlp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resources "go.opentelemetry.io/proto/otlp/resource/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/metric"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sel(t testing.TB, text string) metric.Selector {
	t.Helper()
	s, err := metric.ParseSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const every = time.Second

func rate(t testing.TB, of string) metric.Definition {
	return metric.Definition{Kind: metric.Rate, Of: sel(t, of), Window: 2 * every}
}

func ratio(t testing.TB, of, all string) metric.Definition {
	return metric.Definition{Kind: metric.Ratio, Of: sel(t, of), All: sel(t, all), Window: 2 * every}
}

func quantile(t testing.TB, share float64, of string) metric.Definition {
	return metric.Definition{Kind: metric.Quantile, Share: share, Of: sel(t, of), Window: 2 * every}
}

func gauge(t testing.TB, of string, fold metric.Fold) metric.Definition {
	return metric.Definition{Kind: metric.Gauge, Of: sel(t, of), Fold: fold}
}

// hand is a clock that is turned by hand.
type hand struct{ now clock.Instant }

func (h *hand) Now() clock.Instant { return h.now }
func (h *hand) BootID() string     { return "boot" }

// rig is a block without a network, an hour after the machine has started.
type rig struct {
	*block
	t     testing.TB
	clock *hand
	door  *door
	begin uint64 // when this was
	from  []*common.KeyValue
}

func newRig(t testing.TB, definitions ...metric.Definition) *rig {
	h := &hand{clock.Instant{Boot: time.Hour, Wall: time.Unix(1_700_000_000, 0)}}
	r := newReceiver(source.Options{Clock: h, Log: hclog.NewNullLogger(), Book: source.NewBook()})
	target := Target{Service: "shop", Name: "app", Sender: "shop", Every: every}
	for i, d := range definitions {
		target.Metrics = append(target.Metrics, source.Metric{Name: fmt.Sprint("m", i), Definition: d})
	}
	b := newBlock(r, target)
	return &rig{block: b, t: t, clock: h, door: &door{receiver: r, blocks: []*block{b}}, begin: uint64(h.now.Wall.UnixNano()),
		from: []*common.KeyValue{attr("service.name", "shop")}}
}

func attr(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

// pass turns the clock on.
func (r *rig) pass(d time.Duration) { r.clock.now = r.clock.now.Add(d) }

// time is that of the wall, as points have it.
func (r *rig) time() uint64 { return uint64(r.clock.now.Wall.UnixNano()) }

func request(from []*common.KeyValue, ms ...*metrics.Metric) *collector.ExportMetricsServiceRequest {
	return &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{
		Resource:     &resources.Resource{Attributes: from},
		ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: ms}},
	}}}
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// send sends metrics, and returns what became of them: "" if all was well.
func (r *rig) send(ms ...*metrics.Metric) string {
	r.t.Helper()
	got, err := r.door.take(marshal(r.t, request(r.from, ms...)))
	switch {
	case err != nil:
		return err.Error()
	case got.rejected > 0:
		return fmt.Sprintf("%d rejected: %v", got.rejected, got.why)
	}
	return ""
}

// well sends what must be well.
func (r *rig) well(ms ...*metrics.Metric) {
	r.t.Helper()
	if wrong := r.send(ms...); wrong != "" {
		r.t.Fatalf("%s", wrong)
	}
}

// wrong sends what must be refused for that reason.
func (r *rig) wrong(want string, ms ...*metrics.Metric) {
	r.t.Helper()
	if got := r.send(ms...); !strings.Contains(got, want) {
		r.t.Errorf("refused because %q, want %q", got, want)
	}
}

// round ends a round. It returns what is known, a word for each metric, and what the operator should know.
func (r *rig) round() (figures string, err error) {
	batch := r.opt.Book.Batch()
	err = r.end(r.clock.now.Boot, batch)
	var words []string
	for _, s := range batch.Samples {
		word := "unknown"
		switch {
		case s.Known:
			word = fmt.Sprintf("%.3g", s.Value)
		case s.Idle:
			word = "idle"
		}
		words = append(words, word)
	}
	batch.Release()
	return strings.Join(words, " "), err
}

// sees ends a round that must say this.
func (r *rig) sees(want string) {
	r.t.Helper()
	if got, err := r.round(); got != want {
		r.t.Errorf("sees %q (%v), want %q", got, err, want)
	}
}

// each is a period: what is sent at its end, and what is seen then.
func (r *rig) each(want string, ms ...*metrics.Metric) {
	r.t.Helper()
	r.pass(every)
	for _, m := range ms {
		r.stamp(m)
	}
	r.well(ms...)
	r.sees(want)
}

// stamp makes a metric one of now.
func (r *rig) stamp(m *metrics.Metric) {
	for _, p := range append(m.GetGauge().GetDataPoints(), m.GetSum().GetDataPoints()...) {
		p.TimeUnixNano = r.time()
		if m.GetSum().GetAggregationTemporality() == delta {
			p.StartTimeUnixNano = r.time() - uint64(every)
		}
	}
	for _, p := range m.GetHistogram().GetDataPoints() {
		p.TimeUnixNano = r.time()
	}
	for _, p := range m.GetExponentialHistogram().GetDataPoints() {
		p.TimeUnixNano = r.time()
	}
}

// The makers of points. What they make is of now, and began at the beginning of the rig or before.

const (
	delta      = metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
	cumulative = metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
)

// labels reads "a=b,c=d".
func labels(text string) (list []*common.KeyValue) {
	for part := range strings.SplitSeq(text, ",") {
		if k, v, ok := strings.Cut(part, "="); ok {
			list = append(list, attr(k, v))
		}
	}
	return list
}

func (r *rig) number(of string, v float64) *metrics.NumberDataPoint {
	return &metrics.NumberDataPoint{Attributes: labels(of), StartTimeUnixNano: r.begin - 1e9, TimeUnixNano: r.time(),
		Value: &metrics.NumberDataPoint_AsDouble{AsDouble: v}}
}

// sum is a cumulative counter.
func (r *rig) sum(name string, points ...*metrics.NumberDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Data: &metrics.Metric_Sum{Sum: &metrics.Sum{
		DataPoints: points, IsMonotonic: true, AggregationTemporality: cumulative}}}
}

// grown is a counter that tells what came since the last period.
func (r *rig) grown(name string, points ...*metrics.NumberDataPoint) *metrics.Metric {
	m := r.sum(name, points...)
	m.GetSum().AggregationTemporality = delta
	r.stamp(m)
	return m
}

func (r *rig) gauge(name string, points ...*metrics.NumberDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: points}}}
}

func total(counts []uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// histogram is a cumulative one of one series.
func (r *rig) histogram(name, of string, bounds []float64, counts ...uint64) *metrics.Metric {
	return &metrics.Metric{Name: name, Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{
		AggregationTemporality: cumulative,
		DataPoints: []*metrics.HistogramDataPoint{{Attributes: labels(of), StartTimeUnixNano: r.begin - 1e9,
			TimeUnixNano: r.time(), Count: total(counts), Sum: proto.Float64(float64(2 * total(counts))),
			ExplicitBounds: bounds, BucketCounts: counts}}}}}
}

// exponential is likewise.
func (r *rig) exponential(name string, scale, offset int32, counts ...uint64) *metrics.Metric {
	return &metrics.Metric{Name: name, Data: &metrics.Metric_ExponentialHistogram{
		ExponentialHistogram: &metrics.ExponentialHistogram{AggregationTemporality: cumulative,
			DataPoints: []*metrics.ExponentialHistogramDataPoint{{StartTimeUnixNano: r.begin - 1e9, TimeUnixNano: r.time(),
				Count: total(counts), Scale: scale,
				Positive: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: offset, BucketCounts: counts}}}}}}
}
