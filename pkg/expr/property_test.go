package expr

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// world is what the signals are. A signal that is missing in it is unknown.
type world map[string]float64

// The naive readings of a generated expression. NaN and nil are unknown.
type (
	sum  func(world) float64
	fact func(world) *bool
)

var numbers = []string{"unit.tasks", "unit.fds", "pool.db.waiting", "host.load.per_cpu"}
var facts = []string{"unit.failed", "unit.active", "probe.health.ok"}

// genSum makes an arithmetic expression and its naive reading.
func genSum(t *rapid.T, depth int) (string, sum) {
	kind := rapid.IntRange(0, 6).Draw(t, "sum")
	if depth == 0 {
		kind %= 2
	}
	switch kind {
	case 0:
		v := rapid.IntRange(0, 3).Draw(t, "number")
		return fmt.Sprint(v), func(world) float64 { return float64(v) }
	case 1:
		name := rapid.SampledFrom(numbers).Draw(t, "signal")
		return name, func(w world) float64 {
			if v, ok := w[name]; ok {
				return v
			}
			return math.NaN()
		}
	case 2:
		s, x := genSum(t, depth-1)
		return "-(" + s + ")", func(w world) float64 { return -x(w) }
	case 3:
		c, p := genFact(t, depth-1)
		a, x := genSum(t, depth-1)
		b, y := genSum(t, depth-1)
		return fmt.Sprintf("(%s ? %s : %s)", c, a, b), func(w world) float64 {
			switch holds := p(w); {
			case holds == nil:
				return math.NaN()
			case *holds:
				return x(w)
			}
			return y(w)
		}
	}
	op := rapid.SampledFrom([]string{"+", "-", "*", "/", "%"}).Draw(t, "operator")
	a, x := genSum(t, depth-1)
	b, y := genSum(t, depth-1)
	return fmt.Sprintf("(%s %s %s)", a, op, b), func(w world) float64 {
		l, r := x(w), y(w)
		v := map[string]float64{"+": l + r, "-": l - r, "*": l * r, "/": l / r, "%": math.Mod(l, r)}[op]
		if math.IsInf(v, 0) {
			return math.NaN()
		}
		return v
	}
}

// genFact makes a condition and its naive reading.
func genFact(t *rapid.T, depth int) (string, fact) {
	kind := rapid.IntRange(0, 6).Draw(t, "fact")
	if depth == 0 {
		kind = 0
	}
	switch kind {
	case 0:
		name := rapid.SampledFrom(facts).Draw(t, "signal")
		return name, func(w world) *bool {
			if v, ok := w[name]; ok {
				return ptr(v != 0)
			}
			return nil
		}
	case 1:
		s, p := genFact(t, depth-1)
		return "!(" + s + ")", func(w world) *bool {
			if v := p(w); v != nil {
				return ptr(!*v)
			}
			return nil
		}
	case 2, 3:
		op := rapid.SampledFrom([]string{"&&", "||"}).Draw(t, "logic")
		a, p := genFact(t, depth-1)
		b, q := genFact(t, depth-1)
		return fmt.Sprintf("(%s %s %s)", a, op, b), func(w world) *bool { return both(op == "||", p(w), q(w)) }
	}
	op := rapid.SampledFrom([]string{"<", "<=", ">", ">=", "==", "!="}).Draw(t, "comparison")
	a, x := genSum(t, depth-1)
	b, y := genSum(t, depth-1)
	return fmt.Sprintf("(%s %s %s)", a, op, b), func(w world) *bool {
		l, r := x(w), y(w)
		if math.IsNaN(l) || math.IsNaN(r) {
			return nil
		}
		return ptr(map[string]bool{"<": l < r, "<=": l <= r, ">": l > r, ">=": l >= r, "==": l == r, "!=": l != r}[op])
	}
}

// both is && for decides = false and || for decides = true.
func both(decides bool, a, b *bool) *bool {
	switch {
	case a != nil && *a == decides || b != nil && *b == decides:
		return &decides
	case a == nil || b == nil:
		return nil
	}
	return ptr(!decides)
}

func ptr(b bool) *bool { return &b }

func genWorld(t *rapid.T) world {
	w := world{}
	for _, name := range numbers {
		if rapid.IntRange(0, 3).Draw(t, name) > 0 {
			w[name] = float64(rapid.IntRange(-2, 3).Draw(t, "value"))
		}
	}
	for _, name := range facts {
		if rapid.IntRange(0, 3).Draw(t, name) > 0 {
			w[name] = float64(rapid.IntRange(0, 1).Draw(t, "value"))
		}
	}
	return w
}

func judge(t *rapid.T, p *Program, w world) Truth {
	h := newHost(p)
	for name, v := range w {
		h.set(monday.Boot, name, v)
	}
	return p.Bind(h).Eval(monday)
}

// Compiled conditions answer as their definition does.
func TestAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src, naive := genFact(t, 4)
		p := compile(t, src, scope())
		w := genWorld(t)
		want := Unknown
		if v := naive(w); v != nil {
			want = Of(*v)
		}
		if got := judge(t, p, w); got != want {
			t.Fatalf("%s is %v, want %v with %v", src, got, want, w)
		}
	})
}

// Learning more never turns a definite answer round.
func TestMoreKnowledgeConfirms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src, _ := genFact(t, 4)
		p := compile(t, src, scope())
		more, less := genWorld(t), world{}
		for name, v := range more {
			less[name] = v
		}
		delete(less, rapid.SampledFrom(append(numbers, facts...)).Draw(t, "forgotten"))
		before, after := judge(t, p, less), judge(t, p, more)
		if before != Unknown && before != after {
			t.Fatalf("%s is %v, and %v when more is known: %v, %v", src, before, after, less, more)
		}
	})
}
