package expr

import (
	"math"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/salveops/salve/pkg/signal"
)

// constants are the units that numbers are multiplied with.
var constants = []struct {
	name  string
	dim   signal.Dimension
	value float64
}{
	{"percent", signal.Ratio, 0.01},
	{"ms", signal.Seconds, 1e-3},
	{"s", signal.Seconds, 1},
	{"minute", signal.Seconds, 60},
	{"h", signal.Seconds, 3600},
	{"KiB", signal.Bytes, 1 << 10},
	{"MiB", signal.Bytes, 1 << 20},
	{"GiB", signal.Bytes, 1 << 30},
}

// join finds the dimension that two quantities share when they are compared, added, or chosen
// between. A bare number may stand beside a ratio, a count and a rate; zero beside everything.
func (c *compiler) join(l, r *node) (signal.Dimension, bool) {
	switch {
	case l.dim == r.dim:
		return l.dim, true
	case l.zero():
		return r.dim, true
	case r.zero():
		return l.dim, true
	case r.dim == signal.Number:
		return l.dim, c.beside(l, r)
	case l.dim == signal.Number:
		return r.dim, c.beside(r, l)
	}
	c.mismatch(r.src.Range(), l, r)
	return 0, false
}

// beside checks that a bare number can stand beside a quantity.
func (c *compiler) beside(quantity, bare *node) bool {
	switch quantity.dim {
	case signal.Count, signal.PerSecond:
		return true
	case signal.Ratio:
		if bare.bare <= 1 {
			return true
		}
		number := short(bare.src)
		if _, sum := bare.src.(*hclsyntax.BinaryOpExpr); sum {
			number = "(" + number + ")"
		}
		c.fail(bare.src.Range(), "Ratio above 1", "%s is a ratio, where 1 means 100 %%. Did you mean %s * percent?",
			short(quantity.src), number)
		return false
	}
	unit := "ms, s, minute or h, as in 800 * ms"
	switch quantity.dim {
	case signal.Bytes:
		unit = "KiB, MiB or GiB, as in 10 * MiB"
	case signal.BytesPerSecond:
		unit = "KiB, MiB or GiB and a time, as in 10 * MiB / s"
	}
	c.fail(bare.src.Range(), "Missing unit", "%s is in %s, so %s needs a unit: %s.",
		short(quantity.src), quantity.dim, short(bare.src), unit)
	return false
}

func (c *compiler) arithmetic(e *hclsyntax.BinaryOpExpr) *node {
	l, r := c.quantity(e.LHS), c.quantity(e.RHS)
	if l == nil || r == nil {
		return nil
	}
	n := &node{src: e}
	var apply func(x, y float64) float64
	ok := true
	switch e.Op {
	case hclsyntax.OpAdd:
		n.dim, ok = c.join(l, r)
		apply = func(x, y float64) float64 { return x + y }
	case hclsyntax.OpSubtract:
		n.dim, ok = c.join(l, r)
		apply = func(x, y float64) float64 { return x - y }
	case hclsyntax.OpModulo:
		n.dim, ok = c.join(l, r)
		apply = math.Mod
	case hclsyntax.OpMultiply:
		n.dim, ok = c.scaled(e, product, l, r)
		apply = func(x, y float64) float64 { return x * y }
	case hclsyntax.OpDivide:
		n.dim, ok = c.scaled(e, quotient, l, r)
		apply = func(x, y float64) float64 { return x / y }
	default:
		c.refuse(e)
		return nil
	}
	if !ok {
		return nil
	}
	if l.fixed && r.fixed {
		n.set(apply(l.value, r.value))
		if n.dim == signal.Number {
			n.bare = n.value
		}
		return n
	}
	n.num = func(b *binding) number {
		left, right := l.num(b), r.num(b)
		return func(f *frame) float64 { return finite(apply(left(f), right(f))) }
	}
	return n
}

// algebra gives the dimension of a product or quotient; false when there is none.
type algebra func(a, b signal.Dimension) (signal.Dimension, bool)

func (c *compiler) scaled(e *hclsyntax.BinaryOpExpr, rule algebra, l, r *node) (signal.Dimension, bool) {
	dim, ok := rule(l.dim, r.dim)
	if !ok {
		verb := "multiplied by"
		if e.Op == hclsyntax.OpDivide {
			verb = "divided by"
		}
		c.fail(e.Range(), "Different dimensions", "%s is %s and cannot be %s %s, which is %s.",
			short(l.src), describe(l), verb, short(r.src), describe(r))
	}
	return dim, ok
}

// product is the dimension of a * b.
func product(a, b signal.Dimension) (signal.Dimension, bool) {
	for _, scale := range []signal.Dimension{signal.Number, signal.Ratio, signal.Count} {
		switch scale {
		case a:
			return b, true
		case b:
			return a, true
		}
	}
	for _, p := range [][2]signal.Dimension{{a, b}, {b, a}} {
		switch p {
		case [2]signal.Dimension{signal.PerSecond, signal.Seconds}:
			return signal.Count, true
		case [2]signal.Dimension{signal.BytesPerSecond, signal.Seconds}:
			return signal.Bytes, true
		case [2]signal.Dimension{signal.PerSecond, signal.Bytes}:
			return signal.BytesPerSecond, true
		}
	}
	return 0, false
}

// quotient is the dimension of a / b. That of two equals is a bare number: it may well be above 1.
func quotient(a, b signal.Dimension) (signal.Dimension, bool) {
	switch {
	case a == b:
		return signal.Number, true
	case b == signal.Number, b == signal.Ratio, b == signal.Count:
		return a, true
	}
	switch [2]signal.Dimension{a, b} {
	case [2]signal.Dimension{signal.Number, signal.Seconds}, [2]signal.Dimension{signal.Count, signal.Seconds},
		[2]signal.Dimension{signal.BytesPerSecond, signal.Bytes}:
		return signal.PerSecond, true
	case [2]signal.Dimension{signal.Number, signal.PerSecond}, [2]signal.Dimension{signal.Count, signal.PerSecond},
		[2]signal.Dimension{signal.Bytes, signal.BytesPerSecond}:
		return signal.Seconds, true
	case [2]signal.Dimension{signal.Bytes, signal.Seconds}:
		return signal.BytesPerSecond, true
	}
	return 0, false
}
