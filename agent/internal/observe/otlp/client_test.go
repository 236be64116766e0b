package otlp

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	api "go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/require"
)

// watched receives until the end of the test.
type watched struct {
	*sourcetest.Watched[Target]
	all *Watcher
}

func watch(t *testing.T, targets ...Target) watched {
	var w *Watcher
	group := sourcetest.Watch(t, func(o source.Options) *source.Group[Target] {
		w = New(o)
		return w.Group
	}, targets...)
	return watched{group, w}
}

const often = 100 * time.Millisecond

// golden is a shop with its golden signals.
func golden(t *testing.T) Target {
	target := Target{Service: "shop", Name: "app", GRPC: require.Port(t), HTTP: require.Port(t), Sender: "shop", Every: often}
	for name, d := range map[string]metric.Definition{
		"errors":  ratio(t, "http_requests{code='503',service_name='shop'}", "http_requests"),
		"traffic": rate(t, "http_requests"),
		"p50":     quantile(t, 0.5, "http_latency"),
		"share":   ratio(t, "http_latency_count{code='503'}", "http_latency_count"),
		"queue":   gauge(t, "queue", metric.Only),
		"open":    gauge(t, "connections", metric.Only),
	} {
		d.Window = min(d.Window, 5*often)
		target.Metrics = append(target.Metrics, source.Metric{Name: name, Definition: d})
	}
	return target
}

// TestRealClients: what OpenTelemetry's own SDK sends, over both protocols, compressed and not.
func TestRealClients(t *testing.T) {
	deltas := func(kind sdk.InstrumentKind) metricdata.Temporality { // as OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta
		if kind == sdk.InstrumentKindUpDownCounter {
			return metricdata.CumulativeTemporality
		}
		return metricdata.DeltaTemporality
	}
	buckets := func(kind sdk.InstrumentKind) sdk.Aggregation {
		if kind == sdk.InstrumentKindHistogram {
			return sdk.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}
		}
		return sdk.DefaultAggregationSelector(kind)
	}
	for name, connect := range map[string]func(context.Context, Target) (sdk.Exporter, error){
		"grpc": func(ctx context.Context, target Target) (sdk.Exporter, error) {
			return otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(target.GRPC), otlpmetricgrpc.WithInsecure())
		},
		"grpc, gzip, exponential buckets": func(ctx context.Context, target Target) (sdk.Exporter, error) {
			return otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(target.GRPC), otlpmetricgrpc.WithInsecure(),
				otlpmetricgrpc.WithCompressor("gzip"), otlpmetricgrpc.WithAggregationSelector(buckets))
		},
		"http": func(ctx context.Context, target Target) (sdk.Exporter, error) {
			return otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(target.HTTP), otlpmetrichttp.WithInsecure())
		},
		"http, gzip, deltas, exponential buckets": func(ctx context.Context, target Target) (sdk.Exporter, error) {
			return otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(target.HTTP), otlpmetrichttp.WithInsecure(),
				otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression), otlpmetrichttp.WithTemporalitySelector(deltas),
				otlpmetrichttp.WithAggregationSelector(buckets))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := golden(t)
			w := watch(t, target)
			exporter, err := connect(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			shop := newShop(t, exporter)
			defer func() { _ = shop.close(t.Context()) }() // a last time it is told what is known already
			w.While(60*time.Second, "the golden signals", shop.sell, func(r sourcetest.Round) bool {
				p50 := r["metric.p50{shop}"]
				return r["metric.errors{shop}"] == 0.25 && r["metric.share{shop}"] == 0.25 && r["metric.traffic{shop}"] > 0 &&
					r["metric.queue{shop}"] == 5 && r["metric.open{shop}"] > 0 && p50 > 0.2 && p50 < 0.3
			})
			block := w.all.Stats()[0]
			if len(block.Points) != 1 || block.Points["accepted"] == 0 || block.Err != "" {
				t.Errorf("%+v", block)
			}
		})
	}
}

// shop is a service with OpenTelemetry's SDK.
type shop struct {
	t        *testing.T
	requests api.Int64Counter
	latency  api.Float64Histogram
	queue    api.Int64Gauge
	open     api.Int64UpDownCounter
	close    func(context.Context) error
}

func newShop(t *testing.T, exporter sdk.Exporter) *shop {
	provider := sdk.NewMeterProvider(sdk.WithReader(sdk.NewPeriodicReader(exporter, sdk.WithInterval(often))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "shop"))))
	s, meter := &shop{t: t, close: provider.Shutdown}, provider.Meter("shop")
	var errs [4]error
	s.requests, errs[0] = meter.Int64Counter("http.requests")
	s.latency, errs[1] = meter.Float64Histogram("http.latency", api.WithUnit("ms"),
		api.WithExplicitBucketBoundaries(100, 200, 300, 1000))
	s.queue, errs[2] = meter.Int64Gauge("queue")
	s.open, errs[3] = meter.Int64UpDownCounter("connections")
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// sell answers four requests, one of them badly.
func (s *shop) sell() {
	ctx := s.t.Context()
	for _, code := range []string{"200", "200", "200", "503"} {
		of := api.WithAttributes(attribute.String("code", code))
		s.requests.Add(ctx, 1, of)
		s.latency.Record(ctx, 250, of)
	}
	s.queue.Record(ctx, 5)
	s.open.Add(ctx, 1)
}
