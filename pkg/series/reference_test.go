package series

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var windows = map[string]windowFunc{
	"avg": (*Series).Avg, "min": (*Series).Min, "max": (*Series).Max, "sum": (*Series).Sum,
	"count": (*Series).Count, "last": (*Series).Newest, "stddev": (*Series).Stddev,
	"change": (*Series).Change, "change_ratio": (*Series).ChangeRatio, "increase": (*Series).Increase,
	"rate": (*Series).Rate, "quantile": quantile(0.9), "predict": predict(time.Minute),
}

// naive remembers everything and computes each answer from the definition.
type naive struct {
	opt Options
	all []sample
}

func (n *naive) set(at time.Duration, v float64) {
	switch last := len(n.all) - 1; {
	case last >= 0 && at < n.all[last].at:
	case last >= 0 && at == n.all[last].at:
		n.all[last].v = v
	default:
		n.all = append(n.all, sample{at, v})
	}
}

// in is what happened in the window; carry is the event in force when it began.
func (n *naive) in(now, window, since time.Duration) (carry, in []sample) {
	from := max(now-window, since)
	for _, p := range n.all {
		switch {
		case p.at > from:
			in = append(in, p)
		case n.opt.Event && p.at > since || n.opt.Event && since == 0:
			carry = []sample{{from, p.v}}
		}
	}
	return carry, in
}

func knownOf(ps []sample) []sample {
	return slices.DeleteFunc(slices.Clone(ps), func(p sample) bool { return math.IsNaN(p.v) })
}

func (n *naive) covered(now, window, since time.Duration) bool {
	heard := knownOf(n.all)
	heard = slices.DeleteFunc(heard, func(p sample) bool { return since > 0 && p.at <= since })
	if len(heard) == 0 {
		return false
	}
	if heard[0].at <= now-window+2*n.opt.Every {
		return true
	}
	need := Enough
	if n.opt.Event {
		need = 1
	}
	_, in := n.in(now, window, since)
	return since > 0 && len(knownOf(in)) >= need
}

func (n *naive) current(now, window, since time.Duration) bool {
	if n.opt.Event {
		return len(n.all) > 0 && !math.IsNaN(n.all[len(n.all)-1].v)
	}
	_, in := n.in(now, window, since)
	in = knownOf(in)
	return len(in) > 0 && now-in[len(in)-1].at <= max(3*n.opt.Every, 3*time.Second)
}

// answer computes a window function; NaN is unknown.
func (n *naive) answer(name string, now, window, since time.Duration) float64 {
	carry, raw := n.in(now, window, since)
	all, in := knownOf(append(slices.Clone(carry), raw...)), knownOf(raw)
	if name == "last" {
		if len(all) == 0 {
			return math.NaN()
		}
		return all[len(all)-1].v
	}
	if !n.covered(now, window, since) {
		return math.NaN()
	}
	if name == "count" {
		return float64(len(in))
	}
	if !n.current(now, window, since) {
		return math.NaN()
	}
	if name == "avg" && n.opt.Event {
		return n.weighted(append(slices.Clone(carry), raw...), now)
	}
	if name == "sum" {
		return total(values(in))
	}
	return n.judge(name, all, now)
}

func (n *naive) weighted(ps []sample, now time.Duration) float64 {
	var area, span float64
	for i, p := range ps {
		end := now
		if i+1 < len(ps) {
			end = ps[i+1].at
		}
		if !math.IsNaN(p.v) {
			area += p.v * (end - p.at).Seconds()
			span += (end - p.at).Seconds()
		}
	}
	if span == 0 {
		return n.all[len(n.all)-1].v
	}
	return area / span
}

func (n *naive) judge(name string, ps []sample, now time.Duration) float64 {
	vs := values(ps)
	mean := total(vs) / float64(len(vs))
	first, last := ps[0], ps[len(ps)-1]
	two := len(ps) > 1 || n.opt.Event
	grown := 0.0
	for i := 1; i < len(ps); i++ {
		if d := vs[i] - vs[i-1]; d < 0 {
			grown += vs[i]
		} else {
			grown += d
		}
	}
	switch {
	case name == "avg":
		return mean
	case name == "min":
		return slices.Min(vs)
	case name == "max":
		return slices.Max(vs)
	case name == "stddev":
		squares := 0.0
		for _, v := range vs {
			squares += (v - mean) * (v - mean)
		}
		return math.Sqrt(squares / float64(len(vs)))
	case name == "increase" && two:
		return grown
	case name == "change" && two:
		return last.v - first.v
	case name == "change_ratio" && two && first.v != 0:
		return (last.v - first.v) / math.Abs(first.v)
	case name == "rate" && n.opt.Event && now > first.at:
		return grown / (now - first.at).Seconds()
	case name == "rate" && last.at > first.at && !n.opt.Event:
		return grown / (last.at - first.at).Seconds()
	case name == "quantile":
		slices.Sort(vs)
		rank := 0.9 * float64(len(vs)-1)
		low, high := math.Floor(rank), math.Ceil(rank)
		return vs[int(low)] + (rank-low)*(vs[int(high)]-vs[int(low)])
	case name == "predict" && len(ps) >= 3:
		return line(ps, now+time.Minute)
	}
	return math.NaN()
}

// line is the value at t of the straight line with the least squares through ps.
func line(ps []sample, t time.Duration) float64 {
	var mt, mv, num, den float64
	for _, p := range ps {
		mt += p.at.Seconds() / float64(len(ps))
		mv += p.v / float64(len(ps))
	}
	for _, p := range ps {
		num += (p.at.Seconds() - mt) * (p.v - mv)
		den += (p.at.Seconds() - mt) * (p.at.Seconds() - mt)
	}
	return mv + num/den*(t.Seconds()-mt)
}

func values(ps []sample) []float64 {
	var vs []float64
	for _, p := range ps {
		vs = append(vs, p.v)
	}
	return vs
}

func total(vs []float64) float64 {
	sum := 0.0
	for _, v := range vs {
		sum += v
	}
	return sum
}

// Whatever comes in, the ring answers as one who remembers everything would.
func TestAgainstReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opt := polled(12 * sec)
		if rapid.Bool().Draw(t, "event") {
			opt = event(12 * sec)
		}
		s, n := fill(opt), &naive{opt: opt}
		now := sec
		for range rapid.IntRange(1, 120).Draw(t, "samples") {
			step := rapid.SampledFrom([]int{2, 2, 2, 2, 1, 0, -3, 5, 20}).Draw(t, "half seconds")
			at := max(0, now+time.Duration(step)*sec/2)
			v := float64(rapid.IntRange(-3, 20).Draw(t, "value"))
			if rapid.IntRange(0, 5).Draw(t, "gap") == 0 {
				v = math.NaN()
			}
			s.Set(at, v)
			n.set(at, v)
			now = max(now, at)
			same(t, s, n, now)
		}
	})
}

func same(t *rapid.T, s *Series, n *naive, now time.Duration) {
	now += time.Duration(rapid.IntRange(0, 5).Draw(t, "later")) * sec
	window := time.Duration(rapid.IntRange(2, 12).Draw(t, "window")) * sec
	since := max(0, now-time.Duration(rapid.IntRange(0, 12).Draw(t, "ago"))*sec)
	if rapid.Bool().Draw(t, "all") {
		since = 0
	}
	for name, f := range windows {
		got, known := f(s, now, window, since)
		want := n.answer(name, now, window, since)
		if known == math.IsNaN(want) || known && math.Abs(got-want) > 1e-6*max(1, math.Abs(want)) {
			t.Fatalf("%s over %v at %v since %v: %v, known %v, want %v\n%v", name, window, now, since, got, known, want, n.all)
		}
	}
	if v, _, known := s.Last(); known {
		if last := n.all[len(n.all)-1]; last.v != v {
			t.Fatalf("last is %v, want %v", v, last.v)
		}
	}
	if _, in := n.in(now, window, since); s.Since(max(now-window, since)) != len(knownOf(in)) {
		t.Fatalf("%d samples since, want %d", s.Since(max(now-window, since)), len(knownOf(in)))
	}
}
