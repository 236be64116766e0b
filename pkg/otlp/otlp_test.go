package otlp

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resources "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// all is what Salve's reader says of a request, a line for each point.
func all(request []byte) (lines []string) {
	var p Point
	for r := range Resources(request) {
		for m := range r.Metrics() {
			head := fmt.Sprintf("%v %s %s %v %v %v", labels(r.Attributes), m.Name, m.Unit, m.Kind, m.Delta, m.Cumulative)
			for err := range m.Points(&p) {
				if err != nil {
					lines = append(lines, "error")
					continue
				}
				lines = append(lines, fmt.Sprint(head, m.Monotonic && m.Kind == Sum, labels(p.Attributes), p.Start, p.Time, p.None,
					p.Value, p.Count, p.Sum, p.HasSum, p.Counts, p.Bounds, p.Scale, p.Offset, p.Zero))
			}
		}
	}
	return lines
}

func labels(a Attributes) (found []string) {
	err := a.Each(func(k, v string) { found = append(found, k+"="+v) })
	if err != nil {
		return []string{"error"}
	}
	return found
}

// generated is what the generated code says of it.
func generated(request *collector.ExportMetricsServiceRequest) (lines []string) {
	for _, r := range request.GetResourceMetrics() {
		for _, s := range r.GetScopeMetrics() {
			for _, m := range s.GetMetrics() {
				var kind Kind
				var temporality metrics.AggregationTemporality
				switch m.GetData().(type) {
				case *metrics.Metric_Gauge:
					kind = Gauge
				case *metrics.Metric_Sum:
					kind, temporality = Sum, m.GetSum().GetAggregationTemporality()
				case *metrics.Metric_Histogram:
					kind, temporality = Histogram, m.GetHistogram().GetAggregationTemporality()
				case *metrics.Metric_ExponentialHistogram:
					kind, temporality = Exponential, m.GetExponentialHistogram().GetAggregationTemporality()
				}
				head := fmt.Sprintf("%v %s %s %v %v %v", keyValues(r.GetResource().GetAttributes()), m.GetName(), m.GetUnit(), kind,
					temporality == metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA,
					temporality == metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE)
				for _, line := range points(m) {
					lines = append(lines, head+line)
				}
			}
		}
	}
	return lines
}

func points(m *metrics.Metric) (lines []string) {
	add := func(monotonic bool, attributes []*common.KeyValue, start, time uint64, flags uint32, rest ...any) {
		list := append([]any{monotonic, keyValues(attributes), start, time, flags&1 != 0}, rest...)
		lines = append(lines, fmt.Sprint(list...))
	}
	for _, p := range append(m.GetGauge().GetDataPoints(), m.GetSum().GetDataPoints()...) {
		v := p.GetAsDouble()
		if _, whole := p.GetValue().(*metrics.NumberDataPoint_AsInt); whole {
			v = float64(p.GetAsInt())
		}
		add(m.GetSum().GetIsMonotonic(), p.GetAttributes(), p.GetStartTimeUnixNano(), p.GetTimeUnixNano(), p.GetFlags(),
			v, 0, 0.0, false, []uint64{}, []float64{}, 0, 0, 0)
	}
	for _, p := range m.GetHistogram().GetDataPoints() {
		add(false, p.GetAttributes(), p.GetStartTimeUnixNano(), p.GetTimeUnixNano(), p.GetFlags(),
			0.0, p.GetCount(), p.GetSum(), p.Sum != nil, p.GetBucketCounts(), p.GetExplicitBounds(), 0, 0, 0)
	}
	for _, p := range m.GetExponentialHistogram().GetDataPoints() {
		add(false, p.GetAttributes(), p.GetStartTimeUnixNano(), p.GetTimeUnixNano(), p.GetFlags(),
			0.0, p.GetCount(), p.GetSum(), p.Sum != nil, p.GetPositive().GetBucketCounts(), []float64{}, p.GetScale(),
			p.GetPositive().GetOffset(), p.GetZeroCount())
	}
	for range m.GetSummary().GetDataPoints() {
		lines = append(lines, "refused")
	}
	return lines
}

func keyValues(list []*common.KeyValue) (found []string) {
	for _, kv := range list {
		switch v := kv.GetValue().GetValue().(type) {
		case *common.AnyValue_ArrayValue, *common.AnyValue_KvlistValue:
		case *common.AnyValue_StringValue:
			found = append(found, kv.GetKey()+"="+v.StringValue)
		default:
			value, _ := proto.Marshal(kv.GetValue())
			s, _ := text(value)
			found = append(found, kv.GetKey()+"="+s)
		}
	}
	return found
}

func attr(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

// shop is a request with a metric of each kind.
func shop() *collector.ExportMetricsServiceRequest {
	code := []*common.KeyValue{attr("code", "503"),
		{Key: "retry", Value: &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}},
		{Key: "n", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: -7}}},
		{Key: "f", Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 0.5}}},
		{Key: "b", Value: &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte("x")}}},
		{Key: "l", Value: &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{}}}}}
	number := func(v float64) []*metrics.NumberDataPoint {
		return []*metrics.NumberDataPoint{
			{Attributes: code, StartTimeUnixNano: 1, TimeUnixNano: 2, Value: &metrics.NumberDataPoint_AsDouble{AsDouble: v}},
			{TimeUnixNano: 3, Value: &metrics.NumberDataPoint_AsInt{AsInt: -4}, Flags: 1},
		}
	}
	cumulative := metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	return &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{
		Resource: &resources.Resource{Attributes: []*common.KeyValue{attr("service.name", "shop")}},
		ScopeMetrics: []*metrics.ScopeMetrics{{
			Scope: &common.InstrumentationScope{Name: "http"},
			Metrics: []*metrics.Metric{
				{Name: "queue", Unit: "1", Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: number(1.5)}}},
				{Name: "requests", Data: &metrics.Metric_Sum{Sum: &metrics.Sum{DataPoints: number(9), IsMonotonic: true,
					AggregationTemporality: metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA}}},
				{Name: "latency", Unit: "s", Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{
					AggregationTemporality: cumulative,
					DataPoints: []*metrics.HistogramDataPoint{{TimeUnixNano: 2, Count: 3, Sum: proto.Float64(4), Attributes: code,
						BucketCounts: []uint64{1, 2}, ExplicitBounds: []float64{0.5}}},
				}}},
				{Name: "size", Data: &metrics.Metric_ExponentialHistogram{ExponentialHistogram: &metrics.ExponentialHistogram{
					AggregationTemporality: cumulative,
					DataPoints: []*metrics.ExponentialHistogramDataPoint{{TimeUnixNano: 2, Count: 4, ZeroCount: 1, Scale: -2,
						Positive: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: -3, BucketCounts: []uint64{1, 2}}, Flags: 0}},
				}}},
				{Name: "old", Data: &metrics.Metric_Summary{Summary: &metrics.Summary{
					DataPoints: []*metrics.SummaryDataPoint{{TimeUnixNano: 2, Count: 4, Sum: 5,
						QuantileValues: []*metrics.SummaryDataPoint_ValueAtQuantile{{Quantile: 0.5, Value: 7}}}},
				}}},
			},
		}},
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

// compare holds the reader to what the generated code says. Points that only Salve refuses are left out.
func compare(t *testing.T, request *collector.ExportMetricsServiceRequest) {
	t.Helper()
	b := marshal(t, request)
	got, want := all(b), generated(request)
	if n, err := Check(b); err != nil || n != len(want) {
		t.Fatalf("%d points, %v, want %d", n, err, len(want))
	}
	if len(got) != len(want) {
		t.Fatalf("%d points are read, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != "error" && got[i] != want[i] {
			t.Errorf("point %d is\n%s, want\n%s", i, got[i], want[i])
		}
	}
}

func TestReadsAsGeneratedCode(t *testing.T) {
	compare(t, shop())
	if lines := all(marshal(t, shop())); len(lines) != 7 || slices.Index(lines, "error") != 6 {
		t.Errorf("read: %q", lines)
	}
	if name := (Attributes{marshal(t, attr("a", "b")), marshal(t, attr("service.name", "x"))}).Find("service.name"); name != "x" {
		t.Errorf("the name is %q", name)
	}
}

// One point that cannot be understood, of a histogram of each kind.
func TestBadPoints(t *testing.T) {
	explicit := func(p *metrics.HistogramDataPoint) (Kind, proto.Message) { return Histogram, p }
	exponential := func(p *metrics.ExponentialHistogramDataPoint) (Kind, proto.Message) { return Exponential, p }
	for _, tt := range []struct {
		want error
		make func() (Kind, proto.Message)
	}{
		{errTime, func() (Kind, proto.Message) { return Gauge, &metrics.NumberDataPoint{} }},
		{errNumber, func() (Kind, proto.Message) { return Gauge, &metrics.NumberDataPoint{TimeUnixNano: 1} }},
		{nil, func() (Kind, proto.Message) { return Sum, &metrics.NumberDataPoint{TimeUnixNano: 1, Flags: 1} }},
		{nil, func() (Kind, proto.Message) { return explicit(&metrics.HistogramDataPoint{TimeUnixNano: 1, Count: 1}) }},
		{errBounds, func() (Kind, proto.Message) {
			return explicit(&metrics.HistogramDataPoint{TimeUnixNano: 1, BucketCounts: []uint64{0, 0}})
		}},
		{errBounds, func() (Kind, proto.Message) {
			return explicit(&metrics.HistogramDataPoint{TimeUnixNano: 1, BucketCounts: []uint64{0, 0, 0}, ExplicitBounds: []float64{2, 2}})
		}},
		{errBounds, func() (Kind, proto.Message) {
			return explicit(&metrics.HistogramDataPoint{TimeUnixNano: 1, BucketCounts: []uint64{0, 0}, ExplicitBounds: []float64{math.NaN()}})
		}},
		{errCount, func() (Kind, proto.Message) {
			return explicit(&metrics.HistogramDataPoint{TimeUnixNano: 1, Count: 2, BucketCounts: []uint64{1}})
		}},
		{errCount, func() (Kind, proto.Message) { // round and round
			return explicit(&metrics.HistogramDataPoint{TimeUnixNano: 1, Count: 1, BucketCounts: []uint64{math.MaxUint64, 2},
				ExplicitBounds: []float64{1}})
		}},
		{errBuckets, func() (Kind, proto.Message) {
			return explicit(&metrics.HistogramDataPoint{TimeUnixNano: 1, BucketCounts: make([]uint64, 100*maxBuckets)})
		}},
		{errBuckets, func() (Kind, proto.Message) {
			return exponential(&metrics.ExponentialHistogramDataPoint{TimeUnixNano: 1,
				Positive: &metrics.ExponentialHistogramDataPoint_Buckets{BucketCounts: make([]uint64, 100*maxBuckets)}})
		}},
		{errScale, func() (Kind, proto.Message) {
			return exponential(&metrics.ExponentialHistogramDataPoint{TimeUnixNano: 1, Scale: 21})
		}},
		{errNegative, func() (Kind, proto.Message) {
			return exponential(&metrics.ExponentialHistogramDataPoint{TimeUnixNano: 1, Count: 1,
				Negative: &metrics.ExponentialHistogramDataPoint_Buckets{BucketCounts: []uint64{1}}})
		}},
		{errKind, func() (Kind, proto.Message) { return Other, &metrics.SummaryDataPoint{TimeUnixNano: 1} }},
	} {
		kind, m := tt.make()
		var p Point
		if err := p.read(kind, marshal(t, m)); !errors.Is(err, tt.want) {
			t.Errorf("%v: %v, want %v", m, err, tt.want)
		}
		if cap(p.Counts) > 2*maxBuckets {
			t.Errorf("%v: room for %d buckets was made", tt.want, cap(p.Counts))
		}
	}
}

// What is broken outside of points makes all of a request unreadable; within one, it is that point's error.
func TestBroken(t *testing.T) {
	whole := marshal(t, shop())
	for i := 1; i < len(whole); i++ {
		if _, err := Check(whole[:i]); err == nil {
			t.Errorf("the first %d bytes of %d pass", i, len(whole))
		}
	}
	point := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte{0xff})
	gauge := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), append(point, point...))
	for range 3 {
		num := protowire.Number(2)
		gauge = protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), gauge)
	}
	gauge[0] = 1<<3 | 2 // the outermost has another number
	if n, err := Check(gauge); n != 2 || err != nil {
		t.Errorf("%d points, %v", n, err)
	}
	if lines := all(gauge); !slices.Equal(lines, []string{"error", "error"}) {
		t.Errorf("%q", lines)
	}
}

// FuzzRequest: whatever comes, reading it ends and takes no memory for what is not there; and what the generated code can
// read is read alike.
func FuzzRequest(f *testing.F) {
	f.Add(marshal(f, shop()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Check(b); err == nil {
			all(b)
		}
		var request collector.ExportMetricsServiceRequest
		if proto.Unmarshal(b, &request) == nil {
			compare(t, &request)
		}
	})
}

// large is a request of 1,000 counters, with three attributes each.
func large(t testing.TB) []byte {
	sum := &metrics.Sum{IsMonotonic: true, AggregationTemporality: metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE}
	for i := range 1000 {
		sum.DataPoints = append(sum.DataPoints, &metrics.NumberDataPoint{StartTimeUnixNano: 1e18, TimeUnixNano: 2e18,
			Attributes: []*common.KeyValue{attr("http.route", fmt.Sprintf("/api/v1/item/%d", i)), attr("http.request.method", "GET"),
				attr("http.response.status_code", "200")},
			Value: &metrics.NumberDataPoint_AsInt{AsInt: int64(i)}})
	}
	r := shop()
	r.ResourceMetrics[0].ScopeMetrics[0].Metrics = []*metrics.Metric{{Name: "http.requests", Data: &metrics.Metric_Sum{Sum: sum}}}
	return marshal(t, r)
}

// BenchmarkRead reads 1,000 points, beside the generated code.
func BenchmarkRead(b *testing.B) {
	request := large(b)
	b.Run("salve", func(b *testing.B) {
		b.ReportAllocs()
		var p Point
		for b.Loop() {
			if _, err := Check(request); err != nil {
				b.Fatal(err)
			}
			for r := range Resources(request) {
				for m := range r.Metrics() {
					for err := range m.Points(&p) {
						if err != nil {
							b.Fatal(err)
						}
					}
				}
			}
		}
	})
	b.Run("generated", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var r collector.ExportMetricsServiceRequest
			if err := proto.Unmarshal(request, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
