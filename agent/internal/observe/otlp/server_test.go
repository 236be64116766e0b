package otlp

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
	"github.com/salveops/salve/pkg/clock"
)

// point is a request with a gauge of now, and one that is refused if wrong.
func point(wrong bool) *collector.ExportMetricsServiceRequest {
	now := uint64(clock.Wall().UnixNano())
	points := []*metrics.NumberDataPoint{{TimeUnixNano: now, Value: &metrics.NumberDataPoint_AsInt{AsInt: 5}}}
	if wrong {
		points = append(points, &metrics.NumberDataPoint{TimeUnixNano: now})
	}
	return request(labels("service.name=shop"),
		&metrics.Metric{Name: "queue", Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: points}}})
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// listening waits until a target has its addresses.
func (w watched) listening() {
	w.Until("it listens", func(sourcetest.Round) bool { return len(w.all.Stats()) == 3 })
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	target := golden(t)
	w := watch(t, target)
	w.While(20*time.Second, "it listens", func() { post(t, target, "", "", nil) },
		func(sourcetest.Round) bool { return len(w.all.Stats()) == 3 })
	bomb := zipped(make([]byte, maxRequest+1))
	for _, tt := range []struct {
		name, kind, coding string
		body               []byte
		status             int
		says               string
	}{
		{"good", binary, "", marshal(t, point(false)), 200, ""},
		{"with one that is not", binary, "gzip", zipped(marshal(t, point(true))), 200, "queue: it has no value"},
		{"empty", binary, "", nil, 200, ""},
		{"JSON", "application/json", "", []byte("{}"), 415, "application/x-protobuf"},
		{"no request", binary, "", []byte{0xff}, 400, "not a request"},
		{"too large", binary, "", make([]byte, maxRequest+1), 413, "4 MiB"},
		{"a bomb", binary, "gzip", bomb, 413, "4 MiB"},
		{"not compressed", binary, "gzip", []byte("not compressed"), 400, "gzip"},
		{"cut off", binary, "gzip", bomb[:len(bomb)/2], 400, "gzip"},
		{"compressed otherwise", binary, "zstd", bomb, 400, "gzip"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			number, body := post(t, target, tt.kind, tt.coding, tt.body)
			var good collector.ExportMetricsServiceResponse
			said := status.New(0, "").Proto()
			if number == 200 {
				if err := proto.Unmarshal(body, &good); err != nil {
					t.Fatal(err)
				}
				said.Message = good.GetPartialSuccess().GetErrorMessage()
			} else if err := proto.Unmarshal(body, said); err != nil {
				t.Fatal(err)
			}
			if number != tt.status || !strings.Contains(said.GetMessage(), tt.says) || (said.GetMessage() == "") != (tt.says == "") {
				t.Errorf("%d %q, want %d %q", number, said.GetMessage(), tt.status, tt.says)
			}
		})
	}
	for _, s := range w.all.Stats() {
		if s.Name == "otlp."+target.HTTP && (s.Runs < 9 || s.Failures != 6) {
			t.Errorf("the address counts %+v", s)
		}
	}
}

// counted is a body that knows how much of it was read.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += n
	return n, err
}

// No more is read of a body, or unpacked of it, than a request may have.
func TestBodyIsBounded(t *testing.T) {
	member := zipped(make([]byte, maxRequest))
	for coding, sent := range map[string][]byte{"": make([]byte, 4*maxRequest), "gzip": bytes.Repeat(member, 20)} {
		from := &counted{Reader: bytes.NewReader(sent)}
		r := httptest.NewRequest(http.MethodPost, "/v1/metrics", from)
		r.Header.Set("Content-Encoding", coding)
		if _, err := body(httptest.NewRecorder(), r); err != errSize || from.n > len(sent)/2 {
			t.Errorf("%q: %v after %d of %d bytes", coding, err, from.n, len(sent))
		}
	}
}

func post(t *testing.T, target Target, kind, coding string, body []byte) (number int, answer []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+target.HTTP+"/v1/metrics", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Content-Encoding", coding)
	r.Close = true
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil
	}
	defer res.Body.Close()
	answer, _ = io.ReadAll(res.Body)
	return res.StatusCode, answer
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	target := golden(t)
	watch(t, target)
	conn := dial(t, target.GRPC)
	client := collector.NewMetricsServiceClient(conn)
	got, err := client.Export(t.Context(), point(true), grpc.WaitForReady(true), grpc.UseCompressor("gzip"))
	if p := got.GetPartialSuccess(); err != nil || p.GetRejectedDataPoints() != 1 || p.GetErrorMessage() != "queue: it has no value" {
		t.Errorf("%v, %v", got, err)
	}
	large := point(false)
	large.ResourceMetrics[0].SchemaUrl = strings.Repeat("x", maxRequest)
	for _, o := range [][]grpc.CallOption{nil, {grpc.UseCompressor("gzip")}} {
		if _, err := client.Export(t.Context(), large, o...); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("too large: %v", err)
		}
	}
	broken := []byte{0xff}
	err = conn.Invoke(t.Context(), collector.MetricsService_Export_FullMethodName, &broken, &broken, grpc.ForceCodecV2(raw{}))
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("no request: %v", err)
	}
	if err := conn.Invoke(t.Context(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export", got, got); status.Code(err) !=
		codes.Unimplemented {
		t.Errorf("traces: %v", err)
	}
}

// Who begins and does not go on is not waited for.
func TestSlow(t *testing.T) {
	t.Parallel()
	target := golden(t)
	w := watch(t, target)
	conn := dial(t, target.GRPC)
	if _, err := collector.NewMetricsServiceClient(conn).Export(t.Context(), point(false), grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	w.listening()
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		collector.MetricsService_Export_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", target.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: " + binary + "\r\nContent-Length: 9\r\n\r\nx"))
	if err := stream.RecvMsg(&collector.ExportMetricsServiceResponse{}); status.Code(err) != codes.Unavailable ||
		!strings.Contains(err.Error(), errSlow.text) {
		t.Errorf("over gRPC: %v", err)
	}
	if answer, _ := io.ReadAll(c); !strings.Contains(string(answer), "503 Service Unavailable") || !strings.Contains(string(answer), errSlow.text) {
		t.Errorf("over HTTP: %q", answer)
	}
}

// While there is no room, whoever comes waits for a moment and is then told to come again.
func TestBusy(t *testing.T) {
	t.Parallel()
	target := golden(t)
	w := watch(t, target)
	client := collector.NewMetricsServiceClient(dial(t, target.GRPC))
	if _, err := client.Export(t.Context(), point(false), grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	w.listening()
	for range maxReaders {
		w.all.receiver.readers <- struct{}{}
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if number, answer := post(t, target, binary, "", nil); number != 503 || !strings.Contains(string(answer), errBusy.text) {
			t.Errorf("over HTTP: %d %q", number, answer)
		}
	})
	if _, err := client.Export(t.Context(), point(false)); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), errBusy.text) {
		t.Errorf("over gRPC: %v", err)
	}
	waiting.Wait()
	<-w.all.receiver.readers
	if _, err := client.Export(t.Context(), point(false)); err != nil {
		t.Errorf("once there is room: %v", err)
	}
}

// Who comes when there are too many connections waits until one ends.
func TestConnections(t *testing.T) {
	t.Parallel()
	target := golden(t)
	w := watch(t, target)
	w.listening()
	var open []net.Conn
	for range maxConns {
		c, err := net.Dial("tcp", target.HTTP)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	last, err := net.Dial("tcp", target.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	_, _ = last.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	answer := make([]byte, 12)
	_ = last.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := last.Read(answer); err == nil {
		t.Errorf("one more is answered: %q", answer[:n])
	}
	_ = open[0].Close()
	_ = last.SetReadDeadline(time.Time{})
	if _, err := io.ReadFull(last, answer); err != nil || string(answer) != "HTTP/1.1 404" {
		t.Errorf("once there is room: %q, %v", answer, err)
	}
}

// Blocks share an address while one of them is there; one that another has is taken once it is free.
func TestAddresses(t *testing.T) {
	t.Parallel()
	first := golden(t)
	taken, err := net.Listen("tcp", first.GRPC)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	second := first
	second.Service, second.HTTP = "other", ""
	w := watch(t, first, second)
	w.While(20*time.Second, "another has the address", func() {}, func(sourcetest.Round) bool {
		return strings.Contains(w.all.Stats()[0].Err, "address already in use")
	})
	_ = taken.Close()
	client := collector.NewMetricsServiceClient(dial(t, first.GRPC))
	send := func() {
		if _, err := client.Export(t.Context(), point(false), grpc.WaitForReady(true)); err != nil {
			t.Fatal(err)
		}
	}
	for _, of := range []string{"shop", "other"} {
		w.While(20*time.Second, "both are told", send, func(r sourcetest.Round) bool { return r["metric.queue{"+of+"}"] == 5 })
	}
	w.SetTargets([]Target{second})
	w.While(20*time.Second, "the other goes on", send, func(r sourcetest.Round) bool { return r["metric.queue{other}"] == 5 })
	w.SetTargets(nil)
	w.While(20*time.Second, "unknown once nobody listens", func() {}, func(r sourcetest.Round) bool { return len(r) == 0 })
	for { // until the last one has left
		c, err := net.Dial("tcp", first.GRPC)
		if err != nil {
			break
		}
		_ = c.Close()
	}
}
