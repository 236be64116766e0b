package otlp

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/salveops/salve/pkg/metric"
)

func TestCumulative(t *testing.T) {
	r := newRig(t, rate(t, "http_requests"), ratio(t, "http_requests{code=~'5..'}", "http_requests"))
	const ok, bad = "code=200", "code=503"
	r.each("unknown unknown", r.sum("http.requests", r.number(ok, 1000)))
	r.each("10 0", r.sum("http.requests", r.number(ok, 1010)))
	r.each("10 0", r.sum("http.requests", r.number(ok, 1020)))
	r.each("15 0.333", r.sum("http.requests", r.number(ok, 1030), r.number(bad, 10))) // the first error ever
	r.each("20 0.5", r.sum("http.requests", r.number(ok, 1040), r.number(bad, 20)))
}

// A process that begins again counts from zero, whether its start says so or its value.
func TestBeginsAgain(t *testing.T) {
	r := newRig(t, rate(t, "n"))
	r.each("unknown", r.sum("n", r.number("", 1000)))
	r.each("10", r.sum("n", r.number("", 1010)))
	begun := r.time()
	r.pass(every)
	again := r.number("", 2000) // more than before
	again.StartTimeUnixNano = begun
	r.well(r.sum("n", again))
	r.sees("1e+03")
	r.pass(every)
	again = r.number("", 2010)
	again.StartTimeUnixNano = begun
	r.well(r.sum("n", again))
	r.sees("1e+03")
	r.pass(every)
	again = r.number("", 30) // less, and its start says nothing
	again.StartTimeUnixNano = begun
	r.well(r.sum("n", again))
	r.sees("20")
}

// So does a histogram, by its count or one of its buckets.
func TestHistogramBeginsAgain(t *testing.T) {
	r := newRig(t, rate(t, "latency_count"))
	r.each("unknown", r.histogram("latency", "", []float64{1}, 10, 10))
	r.each("1", r.histogram("latency", "", []float64{1}, 10, 11))
	r.each("15.5", r.histogram("latency", "", []float64{1}, 30, 0)) // more in all
	bare := func(n uint64) *metrics.Metric {
		m := r.histogram("latency", "", nil)
		m.GetHistogram().DataPoints[0].Count = n
		return m
	}
	r = newRig(t, rate(t, "latency_count"))
	r.each("unknown", bare(20))
	r.each("1", bare(21))
	r.each("2", bare(3))
}

// A process that began after the agent has begun with zero; one that was there before has not.
func TestNewProcess(t *testing.T) {
	r := newRig(t, rate(t, "n"))
	r.each("unknown", r.sum("n", r.number("", 1000)))
	r.pass(every / 2)
	young := r.number("", 40)
	young.StartTimeUnixNano = r.begin + 1
	r.from = append(r.from, attr("service.instance.id", "young"))
	r.well(r.sum("n", young))
	r.from = append(r.from[:1:1], attr("service.instance.id", "old"))
	r.well(r.sum("n", r.number("", 5000)), r.sum("n", r.number("a=b", 5000))) // one collection in two metrics
	r.pass(every / 2)
	r.sees("40")
}

func TestRepeatedAndLate(t *testing.T) {
	r := newRig(t, rate(t, "n"), rate(t, "d"))
	r.each("unknown unknown", r.sum("n", r.number("", 100)), r.grown("d", r.number("", 100)))
	r.pass(every)
	ms := []*metrics.Metric{r.sum("n", r.number("", 110)), r.grown("d", r.number("", 10))}
	r.well(ms...)
	r.wrong("2 rejected: d: it is not newer", ms...)
	early := r.grown("d", r.number("", 10))
	early.GetSum().DataPoints[0].TimeUnixNano++
	r.wrong("not newer", early) // it begins before the end of the last one
	r.sees("10 10")
	if _, err := r.round(); err != nil {
		t.Errorf("a sender that tried again is told as a failure: %v", err)
	}
	if got := r.Stats().Points; got["accepted"] != 4 || got["repeated"] != 3 {
		t.Errorf("counted: %v", got)
	}
}

// Of two processes that say they are one only one is believed, until it is gone.
func TestTwoProcesses(t *testing.T) {
	r := newRig(t, rate(t, "n"))
	r.each("unknown", r.sum("n", r.number("", 1000)))
	other := func() *metrics.Metric {
		p := r.number("", 7)
		p.StartTimeUnixNano += 5e8
		p.TimeUnixNano++
		return r.sum("n", p)
	}
	r.wrong("service.instance.id", other())
	r.each("10", r.sum("n", r.number("", 1010)))
	r.wrong("service.instance.id", other())
	if _, err := r.round(); err == nil || !strings.Contains(err.Error(), "service.instance.id") {
		t.Errorf("the operator is told: %v", err)
	}
	for range 3 {
		r.pass(every)
		r.well(r.sum("n", r.number("a=b", 5)))
		_, _ = r.round()
	}
	r.pass(every)
	r.well(other())
	r.sees("0") // its 7 are older than anybody knows
}

func TestDelta(t *testing.T) {
	r := newRig(t, rate(t, "n"), rate(t, "m"))
	r.each("unknown unknown", r.grown("n", r.number("", 5)), r.grown("m", r.number("", 5)))
	r.each("10 5", r.grown("n", r.number("", 10)), r.grown("m", r.number("", 5)))
	r.each("10 2.5", r.grown("n", r.number("", 10))) // who has nothing to tell is silent
	r.each("10 0", r.grown("n", r.number("", 10)))
}

// Who tells that nobody asks is idle. Who tells nothing is not.
func TestIdle(t *testing.T) {
	r := newRig(t, ratio(t, "n", "n"))
	n := r.sum("n", r.number("", 5))
	r.each("unknown", n)
	r.each("idle", n)
	r.each("idle", n)
	r.pass(3 * every)
	r.sees("unknown")
}

// Nothing is known of what nobody tells of, though others go on.
func TestSilence(t *testing.T) {
	r := newRig(t, rate(t, "n"), rate(t, "m"), gauge(t, "g", metric.Only))
	both := func(v float64) []*metrics.Metric {
		return []*metrics.Metric{r.sum("n", r.number("", v)), r.sum("m", r.number("", v)), r.gauge("g", r.number("", v))}
	}
	r.pass(every)
	r.well(both(10)...)
	r.sees("unknown unknown 10")
	r.pass(every)
	r.well(both(20)...)
	r.sees("10 10 20")
	for range 2 {
		r.pass(every)
		r.well(r.sum("n", r.number("", 20)))
		_, _ = r.round()
	}
	r.each("0 unknown unknown", r.sum("n", r.number("", 20)))
	r.pass(every)
	r.sees("") // nothing new, and not silent for long
	r.pass(2 * every)
	r.sees("unknown unknown unknown")
	r.from = []*common.KeyValue{attr("service.name", "unknown_service:shop")}
	r.well(r.sum("n", r.number("", 20)))
	r.door.doors[place{}] = r.door
	if _, err := r.round(); err == nil || !strings.Contains(err.Error(), `no points of a metric came from service.name "shop" for 3s; `+
		`there is a service.name "unknown_service:shop" for which there is no block`) {
		t.Errorf("the operator is told: %v", err)
	}
	r.from[0] = attr("service.name", "shop")
	r.pass(every)
	r.well(both(30)...)
	r.sees("unknown unknown 30")
	r.pass(every)
	r.well(both(40)...)
	r.sees("10 10 40")
}

func TestGauges(t *testing.T) {
	r := newRig(t, gauge(t, "queue{q='mail'}", metric.Only), gauge(t, "queue", metric.Sum), gauge(t, "wait", metric.Only))
	wait := r.gauge("wait", r.number("", 250))
	wait.Unit = "ms"
	r.each("3 7 0.25", r.gauge("queue", r.number("q=mail", 3), r.number("q=web", 4)), wait)
	r.pass(every)
	none := r.number("q=mail", 9)
	none.Flags = 1
	r.well(r.gauge("queue", none, r.number("q=web", 4)))
	r.sees("unknown 4 0.25")
	r.pass(every)
	updown := r.sum("queue", r.number("q=mail", -2))
	updown.GetSum().IsMonotonic = false
	r.well(updown)
	r.sees("-2 2 0.25")
	updown.GetSum().AggregationTemporality = delta
	r.wrong("let it be cumulative", updown)
	for _, v := range []float64{math.NaN(), math.Inf(-1), 1e19} {
		r.wrong("not a number", r.gauge("queue", r.number("", v)))
	}
}

// Two processes are two, also when only something that is no label tells them apart; one that is gone is forgotten.
func TestSenders(t *testing.T) {
	r := newRig(t, gauge(t, "queue", metric.Only), gauge(t, "queue", metric.Sum))
	from := func(pid string) { r.from = append(r.from[:1:1], attr("process.pid", pid)) }
	r.pass(every)
	from("1")
	r.well(r.gauge("queue", r.number("", 3)))
	from("2")
	r.well(r.gauge("queue", r.number("", 4)))
	r.sees("unknown 7")
	r.each("unknown 7", r.gauge("queue", r.number("", 4)))
	r.each("unknown 7", r.gauge("queue", r.number("", 4)))
	r.each("4 4", r.gauge("queue", r.number("", 4)))
}

func TestHistograms(t *testing.T) {
	r := newRig(t, quantile(t, 0.5, "latency"), rate(t, "latency_count{code='200'}"), rate(t, "latency_sum"))
	ms := func(counts ...uint64) *metrics.Metric {
		m := r.histogram("latency", "code=200", []float64{100, 200}, counts...)
		m.Unit = "ms"
		return m
	}
	r.each("unknown unknown unknown", ms(1, 2, 3))
	r.each("0.15 10 0.02", ms(1, 12, 3))
	r.each("0.0667 20 0.04", ms(31, 12, 3))
	r.each("unknown 15 0.03", r.histogram("latency", "code=200", []float64{100, 200}, 9, 9, 9))
}

// When buckets get other bounds nobody knows what is new in them.
func TestBoundsChange(t *testing.T) {
	r := newRig(t, quantile(t, 0.5, "latency"), rate(t, "latency_count"))
	r.each("unknown unknown", r.histogram("latency", "", []float64{1, 2}, 1, 2, 3))
	r.each("1.5 10", r.histogram("latency", "", []float64{1, 2}, 1, 12, 3))
	r.each("unknown 5", r.histogram("latency", "", []float64{1, 4}, 30, 30, 30))
	r.each("3 5", r.histogram("latency", "", []float64{1, 4}, 30, 40, 30))
}

// The quantile of exponential buckets, whatever their scale, and when it changes.
func TestExponential(t *testing.T) {
	for scale := int32(-1); scale <= 6; scale++ {
		r := newRig(t, quantile(t, 0.9, "latency"), rate(t, "latency_count"))
		// Events lie evenly, on a logarithmic scale, from 2^-8 to 2^8: a tenth of them above 2^6.4.
		spread := func(scale int32, each uint64) *metrics.Metric {
			counts := make([]uint64, int32(math.Ldexp(16, int(scale))))
			for i := range counts {
				counts[i] = each << (6 - scale)
			}
			return r.exponential("latency", scale, int32(math.Ldexp(-8, int(scale))), counts...)
		}
		r.pass(every)
		r.well(spread(scale, 1))
		_, _ = r.round()
		r.pass(every)
		r.well(spread(max(-1, scale-2), 3)) // it has become coarser
		r.table.end(r.clock.now.Boot)
		f := r.table.figure(0)
		if want := math.Exp2(6.4); !f.Known || math.Abs(f.Value-want) > 0.04*want {
			t.Errorf("scale %d: %+v, want %v", scale, f, want)
		}
		if f := r.table.figure(1); f.Value != 2048 { // of 1,024 it has become 3,072
			t.Errorf("scale %d: %+v events", scale, f)
		}
	}
}

// What comes late is told as what it was then, and not as what is now; but never as older than what was told before.
func TestLate(t *testing.T) {
	r := newRig(t, gauge(t, "queue", metric.Sum))
	var last time.Duration
	for _, late := range []time.Duration{0, 20 * time.Second, 55 * time.Second} {
		r.pass(30 * time.Second)
		old := r.number("", 3)
		old.TimeUnixNano -= uint64(late)
		r.well(r.gauge("queue", old))
		batch := r.opt.Book.Batch()
		_ = r.end(r.clock.now.Boot, batch)
		at, want := batch.Samples[0].At, max(r.clock.now.Boot-late, last+1)
		if at != want {
			t.Errorf("%s late: of %s, want %s", late, at, want)
		}
		last = at
		batch.Release()
	}
}

// When the clock of the host is set nothing can be compared, and all begins anew.
func TestClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, time.Hour} {
		r := newRig(t, rate(t, "n"))
		r.each("unknown", r.sum("n", r.number("", 100)))
		r.each("10", r.sum("n", r.number("", 110)))
		r.clock.now.Wall = r.clock.now.Wall.Add(by)
		r.each("unknown", r.sum("n", r.number("", 120)))
		r.each("10", r.sum("n", r.number("", 130)))
		r.from = append(r.from, attr("service.instance.id", "other")) // which began by the clock as it was
		r.each("5", r.sum("n", r.number("", 5000)))
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t, rate(t, "n"), gauge(t, "queue", metric.Sum))
	old, ahead := r.sum("n", r.number("", 1)), r.sum("n", r.number("", 1))
	old.GetSum().DataPoints[0].TimeUnixNano -= 61e9
	ahead.GetSum().DataPoints[0].TimeUnixNano += 61e9
	r.wrong("more than a minute old", old)
	r.wrong("ahead", ahead)
	r.wrong("below zero", r.sum("n", r.number("", -1)))
	neither := r.sum("n", r.number("", 1))
	neither.GetSum().AggregationTemporality = 0
	r.wrong("neither", neither)
	r.wrong("too long", r.sum("n", r.number("a="+strings.Repeat("x", maxText), 1)))
	r.wrong("too many", r.sum("n", r.number(strings.Repeat("a=b,", maxAttributes+1), 1)))
	if _, err := r.door.take([]byte{0xff}); err != errRequest {
		t.Errorf("no request: %v", err)
	}
	many := make([]*metrics.NumberDataPoint, maxPoints+1)
	for i := range many {
		many[i] = &metrics.NumberDataPoint{}
	}
	r.wrong("more than 100,000 points", r.sum("other", many...))
	r.well(r.sum("other", r.number("", -1))) // of which nothing is made
	if _, err := r.round(); err == nil || !strings.Contains(err.Error(), `6 points were refused, the last one, of "n": it has too many`) {
		t.Errorf("the operator is told: %v", err)
	}
	r.well(r.gauge("n", r.number("", 1)))
	r.pass(3 * every)
	r.well(r.gauge("n", r.number("", 1)))
	r.pass(patience)
	r.well(r.gauge("n", r.number("", 1)))
	if _, err := r.round(); err == nil || !strings.Contains(err.Error(), "what comes of it are gauges, and it is made of counters") {
		t.Errorf("the operator is told: %v", err)
	}
}

// Attributes that explode end at a bound, and make figures unknown; once they are gone it is as before.
func TestExplodingAttributes(t *testing.T) {
	r := newRig(t, rate(t, "n"), gauge(t, "queue", metric.Sum))
	r.each("unknown 5", r.sum("n", r.number("", 1)), r.gauge("queue", r.number("", 5)))
	r.each("0 5", r.sum("n", r.number("", 1)), r.gauge("queue", r.number("", 5)))
	r.pass(every)
	var points []*metrics.NumberDataPoint
	for i := range maxStreams + 3 {
		points = append(points, r.number(fmt.Sprint("id=", i), 1))
	}
	r.wrong("5 rejected: n: more series match than are kept", r.sum("n", points...))
	r.sees("unknown unknown")
	if n := len(r.table.streams); n != maxStreams {
		t.Errorf("%d are kept", n)
	}
	r.pass(3 * every)
	r.well(r.sum("n", r.number("", 1)), r.gauge("queue", r.number("", 5)))
	r.sees("unknown 5")
	r.each("10 5", r.sum("n", r.number("", 11)))
}

// The buckets of all histograms together have a bound.
func TestManyBuckets(t *testing.T) {
	r := newRig(t, quantile(t, 0.5, "h"))
	all := r.exponential("h", 3, 0)
	for i := range maxBuckets/1000 + 1 {
		one := r.exponential("h", 3, 0, make([]uint64, 1000)...).GetExponentialHistogram().GetDataPoints()
		one[0].Attributes = labels(fmt.Sprint("id=", i))
		all.GetExponentialHistogram().DataPoints = append(all.GetExponentialHistogram().DataPoints, one...)
	}
	r.pass(every)
	r.wrong("1 rejected: h: more series match than are kept", all)
	r.sees("unknown")
	r.pass(3 * every)
	r.well(r.exponential("h", 3, 0, 1))
	if r.table.buckets != 1 || r.table.full {
		t.Errorf("%d buckets are kept, full %v", r.table.buckets, r.table.full)
	}
}

// A series that was away goes on where it was; after long nobody knows any more where that is.
func TestAway(t *testing.T) {
	for away, want := range map[time.Duration]string{2 * every: "20", forget / 2: "unknown", 2 * forget: "unknown"} {
		r := newRig(t, rate(t, "n"))
		both := func(v float64) *metrics.Metric {
			p := r.number("a=b", v)
			p.StartTimeUnixNano = r.begin + 1 // it has begun before our eyes
			return r.sum("n", p, r.number("", 0))
		}
		r.each("unknown", both(1000))
		r.pass(every)
		r.well(r.sum("n", r.number("", 0)))
		r.sees("0")
		r.pass(away - 2*every)
		if away > forget {
			r.well(r.sum("n", r.number("", 0)))
		}
		r.each(want, both(1040))
	}
}

// Blocks that share an address each get what is of their service.
func TestShared(t *testing.T) {
	r := newRig(t, gauge(t, "queue", metric.Only))
	target := r.target
	target.Service, target.Sender = "mail", "mail-*"
	mail := newBlock(r.receiver, target)
	r.door.blocks = append(r.door.blocks, mail)
	r.pass(every)
	r.well(r.gauge("queue", r.number("", 1)))
	r.from = []*common.KeyValue{attr("service.name", "mail-in")}
	r.well(r.gauge("queue", r.number("", 2)))
	r.from = []*common.KeyValue{attr("service.name", "other")}
	r.well(r.gauge("queue", r.number("", 3)))
	r.sees("1")
	r.block = mail
	r.sees("2")
	if r.door.stranger != "other" {
		t.Errorf("the stranger is %q", r.door.stranger)
	}
}
