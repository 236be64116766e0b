package statsd

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"
	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/metric"
)

// queue is a gauge that one service tells of, by a tag.
func queue(t testing.TB, service string) []source.Metric {
	return []source.Metric{{Name: "queue", Definition: metric.Definition{
		Kind: metric.Gauge, Of: sel(t, fmt.Sprintf("queue{service=%q}", service)), Fold: metric.Sum}}}
}

// hand is a clock that is turned by hand.
type hand struct{ now clock.Instant }

func (h *hand) Now() clock.Instant { return h.now }
func (h *hand) BootID() string     { return "boot" }

// entry is a door without a socket.
type entry struct {
	*door
	clock *hand
	names []string
}

func newEntry() *entry {
	h := new(hand)
	return &entry{door: &door{clock: h}, clock: h}
}

// enter lets a block join.
func (e *entry) enter(name string, metrics []source.Metric) {
	e.join(newTable(metrics, time.Second))
	e.names = append(e.names, name)
}

// says are the errors of those blocks that a datagram is bad for.
func (e *entry) says(packet string) map[string]string {
	e.take([]byte(packet), time.Now())
	said := map[string]string{}
	for i, t := range e.all.tables {
		if err := t.complaint(); err != nil {
			said[e.names[i]] = err.Error()
		}
	}
	return said
}

// TestWhomErrorsConcern: a line is told to those that it may have been meant for.
func TestWhomErrorsConcern(t *testing.T) {
	golden := golden(t)
	for _, tt := range []struct {
		packet, why string
		whom        []string
	}{
		{"queue:1|g|#service:shop\nnobodys:x|y", "", nil},
		{"queue", "it is not name:value|type", []string{"shop", "mail", "all"}},
		{":1|g", "its name is empty", []string{"shop", "mail", "all"}},
		{strings.Repeat("x", maxPacket+1), "longer than 64 KiB", []string{"shop", "mail", "all"}},
		{"queue:1|s|#service:shop", "it is of a set", []string{"shop", "mail", "all"}},
		{"http.requests:1|x", "its type is none of", []string{"all"}}, // once, though two metrics are made of it
		{"queue:1|g|#service:\xff", "a tag has a broken letter", []string{"shop", "mail", "all"}},
		{"queue:x|g|#service:mail", "its value is not a number", []string{"mail", "all"}},
		{"queue:x|g|#service:other", "its value is not a number", []string{"all"}},
		{"http.requests:-1|c", "its value is below zero", []string{"all"}},
		{"http.requests:x|g", "", nil}, // nothing is made of a gauge of that name
	} {
		e := newEntry()
		e.enter("shop", queue(t, "shop"))
		e.enter("mail", queue(t, "mail"))
		e.enter("all", golden)
		want := map[string]string{}
		for _, name := range tt.whom {
			want[name] = tt.why
		}
		got := e.says(tt.packet)
		for name, said := range got {
			if strings.HasPrefix(said, "1 lines could not be read") && strings.Contains(said, tt.why) {
				got[name] = tt.why
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.50q (-want +got)\n%s", tt.packet, diff)
		}
	}
}

// A service of which nobody asks anything is idle. One that sends nothing at all any more may be dead, and where several
// share an address, what others send is no sign of its life.
func TestIdle(t *testing.T) {
	e := newEntry()
	e.enter("shop", golden(t))
	shop, now := e.all.tables[0], time.Duration(0)
	rounds := func(n int, line string) bool {
		for range n {
			now += time.Second
			if line != "" {
				e.take([]byte(line), time.Now())
			}
			if _, err := e.end(shop, now); err != nil && now < patience {
				t.Fatal(err)
			}
		}
		return shop.told[0].Idle
	}
	for i, step := range []struct {
		shared bool
		rounds int
		line   string
		idle   bool
	}{
		{false, 4, "http.requests:0|c", true}, {false, 60, "", true}, {false, 1, "", false}, {false, 60, "", false}, {false, 1, "other:1|c", true},
		{true, 60, "mails:1|c", true}, {true, 1, "mails:1|c", false}, {true, 1, "http.requests:0|c", true},
	} {
		if step.shared && len(e.all.tables) == 1 {
			e.enter("mail", queue(t, "mail"))
		}
		if got := rounds(step.rounds, step.line); got != step.idle {
			t.Errorf("step %d: idle is %v", i, got)
		}
	}
}

// TestLoss: when the budget of a second is used up, no block believes a round that has a part of the rest of it.
func TestLoss(t *testing.T) {
	e := newEntry()
	start := time.Now()
	full := func(at time.Duration) bool {
		for range budget/(maxPacket+overhead) - 1 {
			if !e.affords(maxPacket, start.Add(at)) {
				return true
			}
		}
		return !e.affords(2*(maxPacket+overhead), start.Add(at))
	}
	const ms = time.Millisecond
	var lost error // of the last round
	round := func(i int, at time.Duration) float64 {
		e.clock.now.Boot = at
		_, lost = e.end(e.all.tables[i], at)
		if f := e.all.tables[i].told[0]; f.Known {
			return f.Value
		}
		return math.NaN()
	}
	e.enter("fast", queue(t, "shop"))
	e.enter("slow", queue(t, "shop"))
	steps := []struct {
		at    time.Duration
		line  string
		flood bool
		block int
		want  float64 // 0: unknown, for a loss
	}{
		{1000 * ms, "queue:5|g|#service:shop", false, 0, 5},
		{1000 * ms, "", false, 1, 5},
		{1200 * ms, "", true, 0, 0},
		{1300 * ms, "queue:6|g|#service:shop", false, 0, 0},
		{2000 * ms, "", false, 1, 0},
		{2100 * ms, "", false, 0, 0},
		{2300 * ms, "", false, 0, 0}, // the second ended at 2.2 s
		{2400 * ms, "queue:7|g|#service:shop", false, 0, 7},
		{3000 * ms, "", false, 1, 0},
		{4000 * ms, "queue:8|g|#service:shop", false, 1, 8},
	}
	for _, s := range steps {
		e.clock.now.Boot = s.at
		e.take([]byte(s.line), start.Add(s.at))
		if over := s.flood && !full(s.at); over {
			t.Fatal("there is no budget")
		}
		got := round(s.block, s.at)
		if known := !math.IsNaN(got); known != (s.want > 0) || known && got != s.want {
			t.Errorf("at %v, block %d: %v, want %v", s.at, s.block, got, s.want)
		}
		told := lost != nil && strings.Contains(lost.Error(), "at least 1 datagrams were dropped")
		if told != (s.want == 0) {
			t.Errorf("at %v, block %d: %v", s.at, s.block, lost)
		}
	}
	if !e.affords(maxPacket, start.Add(5*time.Second)) {
		t.Error("the next second has no budget")
	}
}

// What reading takes is shared out to the blocks for which it was read.
func TestBusy(t *testing.T) {
	e := newEntry()
	for _, name := range []string{"one", "two"} {
		e.busy += time.Second // of which a block that comes later has no share
		e.enter(name, queue(t, name))
	}
	e.busy += 4 * time.Second
	for i, want := range []time.Duration{5 * time.Second / 2, 2 * time.Second, 0} {
		if took, _ := e.end(e.all.tables[i%2], time.Second); took != want {
			t.Errorf("round %d took %v, want %v", i, took, want)
		}
	}
}

// TestSharedAddress: Datadog's client in two services with other periods, and a block that nobody sends for.
func TestSharedAddress(t *testing.T) {
	address := freeAddress(t)
	targets := []Target{
		{Service: "shop", Name: "app", Listen: address, Every: 100 * time.Millisecond, Metrics: queue(t, "shop")},
		{Service: "mail", Name: "app", Listen: address, Every: 150 * time.Millisecond, Metrics: queue(t, "mail")},
		{Service: "still", Name: "app", Listen: address, Every: 100 * time.Millisecond, Metrics: queue(t, "still")},
	}
	w := watch(t, targets...)
	w.listens(3)
	for i, service := range []string{"shop", "mail"} {
		client, err := statsd.New(address, statsd.WithTags([]string{"service:" + service}))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		_ = client.Gauge("queue", float64(i+5), nil, 1)
		_ = client.Flush()
	}
	seen := sourcetest.Round{}
	w.until("each has its own", func() {}, func(r sourcetest.Round) bool {
		maps.Copy(seen, r)
		return len(seen) == 2
	})
	if diff := cmp.Diff(sourcetest.Round{"metric.queue{shop}": 5, "metric.queue{mail}": 6}, seen); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, s := range w.Stats() {
		if s.Err != "" {
			t.Errorf("%s: %s", s.Name, s.Err)
		}
	}
}

// listens waits until there are n blocks, each of which had a round.
func (w watched) listens(n int) {
	w.until("all listen", func() {}, func(sourcetest.Round) bool {
		all := w.Stats()
		return len(all) == n && !slices.ContainsFunc(all, func(s source.Stats) bool { return s.Runs == 0 })
	})
}

// TestReload: who comes to an address, or leaves it, takes from the others neither the socket nor what they know. It is
// told once. A client that is connected to a socket notices when that is another.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	block := func(service string) Target {
		return Target{Service: service, Name: "app", Listen: "unixgram:" + path, Every: 100 * time.Millisecond,
			Metrics: queue(t, service)}
	}
	shop, mail, web := block("shop"), block("mail"), block("web")
	w := watch(t, shop)
	w.listens(1)
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func(text string) {
		t.Helper()
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	knows := func(service string, n float64) {
		t.Helper()
		w.Until(service, func(r sourcetest.Round) bool { return r["metric.queue{"+service+"}"] == n })
	}
	send("queue:5|g|#service:shop")
	knows("shop", 5)
	w.SetTargets([]Target{shop, mail})
	w.listens(2)
	send("queue:6|g|#service:mail")
	knows("mail", 6)
	knows("shop", 5)
	w.SetTargets([]Target{mail}) // without the one that came first
	w.Until("its last word", func(r sourcetest.Round) bool { return len(r) == 0 })
	send("queue:+1|g|#service:mail")
	knows("mail", 7)
	w.SetTargets([]Target{mail, web})
	w.listens(2)
	send("queue:+1|g|#service:mail\nqueue:9|g|#service:web")
	knows("web", 9)
	knows("mail", 8)
}

// The last one to leave closes the address, so that the next can open it at once.
func TestLastLeaves(t *testing.T) {
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver(source.Options{Clock: c, Book: source.NewBook()})
	address := freeAddress(t)
	one, two := newBlock(r, target(t, address)), newBlock(r, target(t, address))
	ctx, cancel := context.WithCancel(t.Context())
	for _, b := range []*block{one, two} {
		if err := r.enter(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	cancel() // that of a block is not that of its socket
	r.leave(one)
	if _, _, err := listen(t.Context(), address); err == nil {
		t.Error("the socket is gone with the first that left")
	}
	r.leave(two)
	_, leave, err := listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	leave()
}

// BenchmarkPacket reads a datagram of one line, with tags that were seen before.
func BenchmarkPacket(b *testing.B) {
	packet := []byte("http.requests:1|c|#code:200,env:prod,host:web-17")
	for name, others := range map[string]func(i int) []source.Metric{
		"alone":       nil,
		"other names": func(i int) []source.Metric { return queue(b, fmt.Sprint(i)) },
		"other tags": func(i int) []source.Metric {
			return []source.Metric{{Name: "traffic", Definition: metric.Definition{Kind: metric.Rate,
				Of: sel(b, fmt.Sprintf("http_requests{service='%d'}", i)), Window: window}}}
		},
	} {
		b.Run(name, func(b *testing.B) {
			e := newEntry()
			e.enter("shop", golden(b))
			for i := 0; others != nil && i < 50; i++ {
				e.enter("other", others(i))
			}
			b.ReportAllocs()
			for b.Loop() {
				e.take(packet, time.Now())
			}
		})
	}
}

// What lines lead to is bounded for all blocks of an address together.
func TestHeadsOfManyMetrics(t *testing.T) {
	e := newEntry()
	sent := source.Metric{Definition: metric.Definition{Kind: metric.Rate, Of: sel(t, "sent"), Window: window}}
	e.enter("many", slices.Repeat([]source.Metric{sent}, 1000))
	for i := range 100 {
		e.take(fmt.Appendf(nil, "sent:1|c|#id:%d", i), time.Now())
		if n := len(e.all.heads); n == 0 || n > maxHeads/(perPart*1000) {
			t.Fatalf("%d beginnings with a thousand parts each are kept", n)
		}
	}
}
