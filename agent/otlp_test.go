package agent

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	api "go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

// The example of docs/otlp.md, with a service that measures as OpenTelemetry says: its signals are there.
func TestDocumentedOTLP(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/otlp.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "```hcl\n")
	example, _, _ := strings.Cut(after, "```")
	taken := []net.Listener{listen(t), listen(t)} // at once, so that they are two
	grpc, http := taken[0].Addr().String(), taken[1].Addr().String()
	for _, l := range taken {
		_ = l.Close()
	}
	for old, fresh := range map[string]string{
		`every = "5s"`: fmt.Sprintf("every = \"200ms\"\ngrpc = %q\nhttp = %q", grpc, http),
		`"20s"`:        `"1s"`,
	} {
		if !strings.Contains(example, old) {
			t.Fatalf("the example has no %s", old)
		}
		example = strings.ReplaceAll(example, old, fresh)
	}
	h := newWeb(t)
	h.configure(example)
	a := h.start(nil)

	exporter, err := otlpmetricgrpc.New(t.Context(), otlpmetricgrpc.WithEndpoint(grpc), otlpmetricgrpc.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	provider := sdk.NewMeterProvider(sdk.WithReader(sdk.NewPeriodicReader(exporter, sdk.WithInterval(200*time.Millisecond))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "shop"))))
	defer func() { _ = provider.Shutdown(t.Context()) }()
	measure(t, provider.Meter("shop"))
	a.reads("metric.error_rate", "shop", 0.25)
	a.reads("metric.queue", "shop", 7)
	if s := a.signal("metric.p99_latency", "shop"); s.GetDimension() != "seconds" || !strings.Contains(s.GetHelp(), "http_server_request_duration") {
		t.Errorf("the latency is listed as %v", s)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// measure measures four requests, one of them failing, each time that it is looked at.
func measure(t *testing.T, meter api.Meter) {
	t.Helper()
	latency, err := meter.Float64Histogram("http.server.request.duration", api.WithUnit("s"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = meter.Int64ObservableGauge("queue.depth", api.WithInt64Callback(func(ctx context.Context, o api.Int64Observer) error {
		for _, code := range []int{200, 200, 200, 503} {
			latency.Record(ctx, 0.2, api.WithAttributes(attribute.Int("http.response.status_code", code)))
		}
		o.Observe(7)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
}
