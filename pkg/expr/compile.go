package expr

import (
	"math"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/salveops/salve/pkg/signal"
)

// maxDepth bounds how deep a condition may be nested, for the stack's sake.
const maxDepth = 200

// compiler walks one condition. Methods that compile return nil after an error; the error is in diags.
type compiler struct {
	scope  *Scope
	diags  hcl.Diagnostics
	refs   []Ref
	words  []word
	leaves []leaf
	each   string        // family whose key is open
	clear  string        // construct that makes `clear` mandatory
	window time.Duration // longest look back
	depth  int
	absent bool  // inside absent(): the signal is not read for its value
	read   []int // indices of refs in the order in which the condition names them
}

// node is a checked part of a condition. One of num and cond is set: cond if dim is Bool.
type node struct {
	src   hclsyntax.Expression
	dim   signal.Dimension
	fixed bool    // known when loaded
	value float64 // if fixed; NaN is unknown
	// bare is the largest number without a unit that the node can be, 0 if it has a unit or is
	// measured. Above 1 it cannot stand beside a ratio.
	bare  float64
	word  *string  // the text, if it is a literal
	words []string // all that it can be, if it is a Text signal
	num   func(*binding) number
	cond  func(*binding) test
}

// set makes the node a constant.
func (n *node) set(v float64) {
	v = finite(v)
	n.fixed, n.value = true, v
	n.num = func(*binding) number { return func(*frame) float64 { return v } }
}

// zero reports whether the node is the constant 0, which needs no unit.
func (n *node) zero() bool { return n.fixed && n.value == 0 && n.cond == nil }

func (n *node) numeric() bool { return n.dim != signal.Bool && n.dim != signal.Text }

// finite turns what is not finite into NaN, which stands for unknown.
func finite(v float64) float64 {
	if math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

// native is the syntax tree of an expression, nil with an error when there is none.
func (c *compiler) native(e hcl.Expression) hclsyntax.Expression {
	n, ok := e.(hclsyntax.Expression)
	if !ok {
		var at hcl.Range
		if e != nil {
			at = e.Range()
		}
		c.fail(at, "Missing expression", "An expression in HCL's native syntax is needed here.")
		return nil
	}
	return n
}

// condition compiles what must be true or false.
func (c *compiler) condition(e hclsyntax.Expression) *node {
	n := c.node(e)
	if n != nil && n.cond == nil {
		c.fail(e.Range(), "Not a condition", "A condition is true or false; %s is %s.", short(e), describe(n))
		return nil
	}
	return n
}

// quantity compiles what must be a number.
func (c *compiler) quantity(e hclsyntax.Expression) *node {
	n := c.node(e)
	if n != nil && !n.numeric() {
		c.fail(e.Range(), "Not a number", "A number is needed here; %s is %s.", short(e), describe(n))
		return nil
	}
	return n
}

// constant compiles a number that is known when loaded.
func (c *compiler) constant(e hclsyntax.Expression) *node {
	n := c.quantity(e)
	if n == nil {
		return nil
	}
	if !n.fixed || math.IsNaN(n.value) {
		c.fail(e.Range(), "Not a constant", "%s is not a number that is known when the file is loaded; "+
			"write a constant such as 800 * ms.", short(e))
		return nil
	}
	return n
}

// node compiles any expression.
func (c *compiler) node(e hclsyntax.Expression) *node {
	if e == nil {
		return nil
	}
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > maxDepth {
		c.fail(e.Range(), "Condition too deep", "Conditions can be nested %d levels deep.", maxDepth)
		return nil
	}
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return c.node(e.Expression)
	case *hclsyntax.LiteralValueExpr:
		return c.literal(e)
	case *hclsyntax.TemplateExpr:
		return c.template(e)
	case *hclsyntax.ScopeTraversalExpr:
		return c.name(e)
	case *hclsyntax.FunctionCallExpr:
		return c.call(e)
	case *hclsyntax.BinaryOpExpr:
		return c.binary(e)
	case *hclsyntax.UnaryOpExpr:
		return c.unary(e)
	case *hclsyntax.ConditionalExpr:
		return c.conditional(e)
	}
	c.refuse(e)
	return nil
}

func (c *compiler) literal(e *hclsyntax.LiteralValueExpr) *node {
	n := &node{src: e}
	switch v := e.Val; {
	case v.IsNull():
		c.fail(e.Range(), "Unsupported value", "There is no null in a condition; absent(signal) asks whether one is missing.")
		return nil
	case v.Type() == cty.Bool:
		t := Of(v.True())
		n.dim = signal.Bool
		n.cond = func(*binding) test { return func(*frame) Truth { return t } }
	case v.Type() == cty.Number:
		f, _ := v.AsBigFloat().Float64()
		if math.IsInf(f, 0) {
			c.fail(e.Range(), "Number too large", "The number does not fit.")
			return nil
		}
		n.set(f)
		n.bare = f
	default:
		c.refuse(e)
		return nil
	}
	return n
}

// template compiles a text without interpolation.
func (c *compiler) template(e *hclsyntax.TemplateExpr) *node {
	s, ok := plain(e)
	if !ok {
		c.refuse(e)
		return nil
	}
	i := c.intern(word{text: s})
	return &node{src: e, dim: signal.Text, word: &s, num: wordAt(i)}
}

// intern gives a word its place among the program's.
func (c *compiler) intern(w word) int {
	for i := range c.words {
		if c.words[i] == w {
			return i
		}
	}
	c.words = append(c.words, w)
	return len(c.words) - 1
}

func wordAt(i int) func(*binding) number {
	return func(b *binding) number {
		id := b.words[i]
		return func(*frame) float64 { return id }
	}
}

// leaf notes something whose value is worth showing, once.
func (c *compiler) leaf(l leaf) {
	for i := range c.leaves {
		if c.leaves[i].text == l.text {
			return
		}
	}
	c.leaves = append(c.leaves, l)
}

func (c *compiler) needClear(construct string) {
	if c.clear == "" {
		c.clear = construct
	}
}
