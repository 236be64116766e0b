package expr

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// usual is unit.cpu on a day like any other: between 20 % and 30 %, never the same twice.
func usual(i int) float64 { return 0.25 + 0.05*float64(i*7919%1000-500)/500 }

// learn evaluates the condition at n samples that are five minutes apart, and returns when the last one was.
func learn(h *host, from instant, n int, names []string, value func(int) float64, conditions ...*Bound) instant {
	for i := range n {
		from = from.Add(5 * time.Minute)
		for _, name := range names {
			h.set(from.Boot, name, value(i))
		}
		for _, b := range conditions {
			b.Eval(from)
		}
	}
	return from
}

func TestAnomaly(t *testing.T) {
	p := compile(t, "anomaly(unit.cpu) > 0.9", scope())
	if name, needed := p.NeedsClear(); name != "anomaly" || !needed {
		t.Errorf("a rule with it needs clear: %v, because of %q", needed, name)
	}
	h := newHost(p)
	b := p.Bind(h)
	cpu := []string{"unit.cpu"}
	now := learn(h, monday, 200, cpu, usual, b)
	if got := b.Eval(now); got != Unknown {
		t.Errorf("after 17 hours it is %v, want unknown: it still learns", got)
	}
	if r := b.Readings(now)[0]; r.Text != "unknown" || r.Known {
		t.Errorf("while it learns it reads %+v", r)
	}
	now = learn(h, now, 800, cpu, usual, b)
	if got := b.Eval(now); got != False {
		t.Errorf("what is usual is %v", got)
	}
	now = now.Add(5 * time.Minute)
	h.set(now.Boot, "unit.cpu", 0.98)
	if got := b.Eval(now); got != True {
		t.Errorf("what is unusual is %v", got)
	}
	r := b.Readings(now)[0]
	if r.Signal != "anomaly(unit.cpu)" || !strings.HasPrefix(r.Text, "0.9") || !strings.Contains(r.Text, "(value, ") ||
		!strings.Contains(r.Text, ": 98 % where 20 % to 30 % was") || !strings.HasSuffix(r.Text, "% was expected)") {
		t.Errorf("it reads %+v", r)
	}
	if got := b.EvalSince(now, now.Boot); got != Unknown {
		t.Errorf("by samples after the last one it is %v", got)
	}
	h.store.Lookup(key("unit.cpu")).Unknown(now.Boot + time.Second)
	if got := b.Eval(now.Add(time.Second)); got != Unknown {
		t.Errorf("of an unknown signal it is %v", got)
	}
}

// TestAnomalyIsShared: two conditions show the detector each sample once, also where the answer does not depend on it.
func TestAnomalyIsShared(t *testing.T) {
	alone := compile(t, "anomaly(unit.cpu) > 0.9", scope())
	second := compile(t, "unit.failed && anomaly(unit.cpu) > 0.5", scope())
	one, two := newHost(alone), newHost(second)
	a, b, c := alone.Bind(one), second.Bind(two), second.Bind(two)
	two.set(monday.Boot, "unit.failed", 0)
	names := []string{"unit.cpu"}
	learn(one, monday, 600, names, usual, a)
	learn(two, monday, 600, names, usual, b, c)
	left, right := one.store.Learned(), two.store.Learned()
	if len(left) != 1 || len(right) != 1 {
		t.Fatalf("%d and %d detectors, want one each", len(left), len(right))
	}
	want, _ := left[key("unit.cpu")].Detector.AppendBinary(nil)
	got, _ := right[key("unit.cpu")].Detector.AppendBinary(nil)
	if !bytes.Equal(got, want) {
		t.Error("it has learned something else")
	}
}

// TestAnomalyOfCounter: what counts is how fast it grows, and a counter that begins again is none.
func TestAnomalyOfCounter(t *testing.T) {
	p := compile(t, `anomaly(host.net["eth0"].rx_bytes) > 0.9`, scope())
	h := newHost(p)
	b := p.Bind(h)
	total, fired := 0.0, 0
	grow := func(i int) float64 {
		if i == 700 {
			total = 0
		}
		total += 3e6 * (1 + usual(i))
		return total
	}
	now := monday
	for i := range 1000 {
		now = now.Add(5 * time.Minute)
		h.set(now.Boot, `host.net["eth0"].rx_bytes`, grow(i))
		if b.Eval(now) == True {
			fired++
		}
	}
	if fired > 0 {
		t.Errorf("steady growth fired %d times", fired)
	}
	now = now.Add(5 * time.Minute)
	h.set(now.Boot, `host.net["eth0"].rx_bytes`, total+3e8)
	if got := b.Eval(now); got != True {
		t.Errorf("a hundredfold growth is %v", got)
	}
	if r := b.Readings(now)[0]; !strings.Contains(r.Text, "KiB/s where") {
		t.Errorf("it reads %q", r.Text)
	}
}

func TestAnomalyAllocatesNothing(t *testing.T) {
	p := compile(t, "anomaly(unit.cpu) > 0.9 || anomaly(probe.health.latency) > 0.9", scope())
	h := newHost(p)
	b := p.Bind(h)
	names := []string{"unit.cpu", "probe.health.latency"}
	now := learn(h, monday, 600, names, usual, b)
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		i++
		now = learn(h, now, 1, names, func(int) float64 { return usual(i) }, b)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
