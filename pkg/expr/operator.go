package expr

import (
	"math"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/salveops/salve/pkg/signal"
)

func (c *compiler) unary(e *hclsyntax.UnaryOpExpr) *node {
	if e.Op == hclsyntax.OpLogicalNot {
		n := c.condition(e.Val)
		if n == nil {
			return nil
		}
		return &node{src: e, dim: signal.Bool, cond: func(b *binding) test {
			holds := n.cond(b)
			return func(f *frame) Truth { return holds(f).Not() }
		}}
	}
	n := c.quantity(e.Val)
	if n == nil {
		return nil
	}
	out := &node{src: e, dim: n.dim, bare: -n.bare}
	if n.fixed {
		out.set(-n.value)
		return out
	}
	out.num = func(b *binding) number {
		value := n.num(b)
		return func(f *frame) float64 { return -value(f) }
	}
	return out
}

func (c *compiler) binary(e *hclsyntax.BinaryOpExpr) *node {
	switch e.Op {
	case hclsyntax.OpLogicalAnd, hclsyntax.OpLogicalOr:
		return c.logic(e)
	case hclsyntax.OpEqual, hclsyntax.OpNotEqual:
		return c.equality(e)
	case hclsyntax.OpGreaterThan, hclsyntax.OpGreaterThanOrEqual, hclsyntax.OpLessThan, hclsyntax.OpLessThanOrEqual:
		l, r := c.quantity(e.LHS), c.quantity(e.RHS)
		return c.compare(e, l, r)
	}
	return c.arithmetic(e)
}

func (c *compiler) logic(e *hclsyntax.BinaryOpExpr) *node {
	l, r := c.condition(e.LHS), c.condition(e.RHS)
	if l == nil || r == nil {
		return nil
	}
	n := &node{src: e, dim: signal.Bool}
	// The right side need not be asked when the left one decides: what must be asked at every
	// evaluation, held() and hits(), is brought up to date before.
	if e.Op == hclsyntax.OpLogicalAnd {
		n.cond = func(b *binding) test {
			left, right := l.cond(b), r.cond(b)
			return func(f *frame) Truth {
				t := left(f)
				if t == False {
					return False
				}
				return t.And(right(f))
			}
		}
		return n
	}
	n.cond = func(b *binding) test {
		left, right := l.cond(b), r.cond(b)
		return func(f *frame) Truth {
			t := left(f)
			if t == True {
				return True
			}
			return t.Or(right(f))
		}
	}
	return n
}

// equality compares numbers, words, or conditions.
func (c *compiler) equality(e *hclsyntax.BinaryOpExpr) *node {
	l, r := c.node(e.LHS), c.node(e.RHS)
	if l == nil || r == nil {
		return nil
	}
	switch {
	case l.dim == signal.Bool && r.dim == signal.Bool:
		return &node{src: e, dim: signal.Bool, cond: sameTruth(l, r, e.Op == hclsyntax.OpEqual)}
	case l.dim == signal.Text && r.dim == signal.Text:
		if !c.possible(l, r) || !c.possible(r, l) {
			return nil
		}
		return &node{src: e, dim: signal.Bool, cond: compareWith(e.Op, l, r)}
	case !l.numeric() || !r.numeric():
		c.mismatch(e.Range(), l, r)
		return nil
	}
	return c.compare(e, l, r)
}

func sameTruth(l, r *node, same bool) func(*binding) test {
	return func(b *binding) test {
		left, right := l.cond(b), r.cond(b)
		return func(f *frame) Truth {
			x, y := left(f), right(f)
			if x == Unknown || y == Unknown {
				return Unknown
			}
			return Of((x == y) == same)
		}
	}
}

// possible checks that a signal can be the word that it is compared with.
func (c *compiler) possible(sig, lit *node) bool {
	if lit.word == nil || len(sig.words) == 0 {
		return true
	}
	for _, w := range sig.words {
		if w == *lit.word {
			return true
		}
	}
	c.fail(lit.src.Range(), "Impossible word", "%s is never %q%s", short(sig.src), *lit.word, meant(*lit.word, sig.words))
	return false
}

func (c *compiler) compare(e *hclsyntax.BinaryOpExpr, l, r *node) *node {
	if l == nil || r == nil {
		return nil
	}
	if _, ok := c.join(l, r); !ok {
		return nil
	}
	return &node{src: e, dim: signal.Bool, cond: compareWith(e.Op, l, r)}
}

func compareWith(op *hclsyntax.Operation, l, r *node) func(*binding) test {
	var holds func(x, y float64) bool
	switch op {
	case hclsyntax.OpEqual:
		holds = func(x, y float64) bool { return x == y }
	case hclsyntax.OpNotEqual:
		holds = func(x, y float64) bool { return x != y }
	case hclsyntax.OpGreaterThan:
		holds = func(x, y float64) bool { return x > y }
	case hclsyntax.OpGreaterThanOrEqual:
		holds = func(x, y float64) bool { return x >= y }
	case hclsyntax.OpLessThan:
		holds = func(x, y float64) bool { return x < y }
	default:
		holds = func(x, y float64) bool { return x <= y }
	}
	return func(b *binding) test {
		left, right := l.num(b), r.num(b)
		return func(f *frame) Truth {
			x, y := left(f), right(f)
			if math.IsNaN(x) || math.IsNaN(y) {
				return Unknown
			}
			return Of(holds(x, y))
		}
	}
}

// conditional compiles test ? a : b. While the test is unknown so is the result.
func (c *compiler) conditional(e *hclsyntax.ConditionalExpr) *node {
	choose, yes, no := c.condition(e.Condition), c.node(e.TrueResult), c.node(e.FalseResult)
	if choose == nil || yes == nil || no == nil {
		return nil
	}
	n := &node{src: e, bare: max(yes.bare, no.bare)}
	switch {
	case yes.dim == signal.Bool && no.dim == signal.Bool:
		n.dim = signal.Bool
		n.cond = chooseTruth(choose, yes, no)
		return n
	case yes.dim == signal.Text && no.dim == signal.Text:
		n.dim = signal.Text
	case yes.numeric() && no.numeric():
		dim, ok := c.join(yes, no)
		if !ok {
			return nil
		}
		n.dim = dim
	default:
		c.mismatch(e.Range(), yes, no)
		return nil
	}
	n.num = chooseNumber(choose, yes, no)
	return n
}

func chooseTruth(choose, yes, no *node) func(*binding) test {
	return func(b *binding) test {
		which, a, z := choose.cond(b), yes.cond(b), no.cond(b)
		return func(f *frame) Truth {
			switch which(f) {
			case True:
				return a(f)
			case False:
				return z(f)
			}
			return Unknown
		}
	}
}

func chooseNumber(choose, yes, no *node) func(*binding) number {
	return func(b *binding) number {
		which, a, z := choose.cond(b), yes.num(b), no.num(b)
		return func(f *frame) float64 {
			switch which(f) {
			case True:
				return a(f)
			case False:
				return z(f)
			}
			return math.NaN()
		}
	}
}
