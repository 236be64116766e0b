package statsd

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"
	"go.uber.org/goleak"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watched listens until the end of the test.
type watched struct{ *sourcetest.Watched[Target] }

func watch(t *testing.T, targets ...Target) watched {
	return watched{sourcetest.Watch(t, New, targets...)}
}

// until does something again and again, until a round is as wanted.
func (w watched) until(what string, do func(), ok func(sourcetest.Round) bool) {
	w.While(60*time.Second, what, do, ok)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

func target(t *testing.T, listen string) Target {
	return Target{Service: "shop", Name: "app", Listen: listen, Every: 100 * time.Millisecond, Metrics: golden(t)}
}

// TestRealClient: what Datadog's own client sends, over both transports.
func TestRealClient(t *testing.T) {
	udp, path := freeAddress(t), filepath.Join(t.TempDir(), "s")
	for listen, address := range map[string]string{udp: udp, "unixgram:" + path: "unixgram://" + path} {
		t.Run(listen, func(t *testing.T) {
			w := watch(t, target(t, listen))
			w.listens(1)
			client, err := statsd.New(address, statsd.WithExtendedClientSideAggregation(),
				statsd.WithAggregationInterval(50*time.Millisecond), statsd.WithBufferFlushInterval(20*time.Millisecond))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			w.until("the golden signals", func() {
				_ = client.Count("http.requests", 3, []string{"code:200", "env:prod"}, 1)
				_ = client.Incr("http.requests", []string{"code:503", "env:prod"}, 1)
				_ = client.Timing("http.latency", 250*time.Millisecond, nil, 1)
				_ = client.Distribution("http.latency", 0.25, []string{"path:/"}, 1)
				_ = client.Gauge("queue", 5, []string{"q:mail"}, 1)
				_ = client.SimpleEvent("deployed", "v2")
			}, func(r sourcetest.Round) bool {
				p90 := r["metric.p90{shop}"]
				return r["metric.errors{shop}"] == 0.25 && r["metric.traffic{shop}"] > 0 && r["metric.queue{shop}"] == 5 &&
					p90 > 0.2 && p90 < 0.3
			})
			if err := w.Stats()[0].Err; err != "" {
				t.Error(err)
			}
		})
	}
}

func TestWatcher(t *testing.T) {
	address := freeAddress(t)
	taken, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	mail := target(t, address)
	mail.Service, mail.Every = "mail", 150*time.Millisecond
	w := watch(t, target(t, address), mail)
	fails := func(with string) func(sourcetest.Round) bool {
		return func(sourcetest.Round) bool {
			return !slices.ContainsFunc(w.Stats(), func(s source.Stats) bool { return !strings.Contains(s.Err, with) })
		}
	}
	w.until("another has the address", func() {}, fails("address already in use"))
	_ = taken.Close()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func(text string) func() { return func() { _, _ = conn.Write([]byte(text)) } }
	w.until("a gauge", send("queue:5|g"), func(r sourcetest.Round) bool { return r["metric.queue{shop}"] == 5 })
	w.until("for all", send("queue:5|g"), func(r sourcetest.Round) bool { return r["metric.queue{mail}"] == 5 })
	w.until("a bad line is told", send("queue"), fails(`"queue": it is not name:value|type`))
	w.until("and does no harm", send("queue:6|g"), func(r sourcetest.Round) bool { return r["metric.queue{shop}"] == 6 })
	w.until("a flood is bounded, told, and makes all unknown", func() {
		for range 500 {
			_, _ = conn.Write(make([]byte, 60_000))
		}
	}, func(r sourcetest.Round) bool { return len(r) == 0 && fails("too much comes")(r) })
	w.until("and the rest goes on", send("queue:7|g"), func(r sourcetest.Round) bool { return r["metric.queue{shop}"] == 7 })
	w.SetTargets(nil)
	w.until("unknown once nobody listens", func() {}, func(r sourcetest.Round) bool { return len(r) == 0 })
}

// A socket that a killed agent left is taken over; one of somebody else, or a file, is not.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = listen(t.Context(), "unixgram:"+path)
	if err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a socket in use: %v", err)
	}
	_ = old.Close() // does not remove it
	_, leave, err := listen(t.Context(), "unixgram:"+path)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	file := filepath.Join(filepath.Dir(path), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := listen(t.Context(), "unixgram:"+file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file: %v", err)
	}
}
