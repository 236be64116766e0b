package expr

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// name compiles a dotted name: a constant, a label, a threshold, or a signal.
func (c *compiler) name(e *hclsyntax.ScopeTraversalExpr) *node {
	root := e.Traversal.RootName()
	if len(e.Traversal) == 1 {
		return c.unit(e, root)
	}
	switch root {
	case "label":
		return c.label(e)
	case "threshold":
		return c.limit(e)
	}
	return c.signal(e)
}

// unit compiles a constant such as percent.
func (c *compiler) unit(e *hclsyntax.ScopeTraversalExpr, name string) *node {
	var names []string
	for _, k := range constants {
		if k.name == name {
			n := &node{src: e, dim: k.dim}
			n.set(k.value)
			return n
		}
		names = append(names, k.name)
	}
	if slices.Contains(families, name) {
		c.fail(e.Range(), "Incomplete name", "After %s come a dot and a name.", name)
		return nil
	}
	hint := meant(name, names)
	if hint == "." {
		hint = ": they are " + strings.Join(names, ", ") + "."
	}
	c.fail(e.Range(), "Unknown name", "There is no constant %s%s", name, hint)
	return nil
}

// families are the first words of all names with dots.
var families = []string{
	"host", "unit", "probe", "pool", "label", "threshold", "metric", "log", "slo", "context", "change", "query",
}

// word is the only name after the first of a label or threshold.
func (c *compiler) word(e *hclsyntax.ScopeTraversalExpr) (string, bool) {
	if len(e.Traversal) == 2 {
		switch s := e.Traversal[1].(type) {
		case hcl.TraverseAttr:
			return s.Name, true
		case hcl.TraverseIndex:
			if s.Key.Type() == cty.String {
				return s.Key.AsString(), true
			}
		}
	}
	c.fail(e.Range(), "Unknown name", "After %s come a dot and one name.", e.Traversal.RootName())
	return "", false
}

func (c *compiler) label(e *hclsyntax.ScopeTraversalExpr) *node {
	name, ok := c.word(e)
	if !ok {
		return nil
	}
	if _, set := c.scope.Labels[name]; !set && c.scope.Labels != nil {
		c.note(hcl.DiagWarning, e.Range(), "Label not set",
			"This host has no label "+name+", which reads as the empty text"+meant(name, sortedKeys(c.scope.Labels)))
	}
	i := c.intern(word{text: name, label: true})
	return &node{src: e, dim: signal.Text, num: wordAt(i)}
}

func (c *compiler) limit(e *hclsyntax.ScopeTraversalExpr) *node {
	name, ok := c.word(e)
	if !ok {
		return nil
	}
	if c.scope.Use == ThresholdValue {
		c.fail(e.Range(), "Threshold in a threshold", "A threshold cannot be made of another.")
		return nil
	}
	t := c.scope.Thresholds[name]
	if t == nil {
		c.fail(e.Range(), "Unknown threshold", "There is no threshold %q%s",
			name, meant(name, sortedKeys(c.scope.Thresholds)))
		return nil
	}
	return c.threshold(e, t)
}

// signal compiles the reading of a signal's present value.
func (c *compiler) signal(e hclsyntax.Expression) *node {
	i, ok := c.find(e)
	if !ok {
		return nil
	}
	in := c.refs[i].Info
	n := &node{src: e, dim: in.Dim, words: in.Words}
	value := func(b *binding) number { return present(b.series[i]) }
	n.num = value
	if in.Dim == signal.Bool {
		n.num, n.cond = nil, truthOf(value)
	}
	c.leaf(leaf{text: c.refs[i].Path.String(), dim: in.Dim, ref: i, num: value})
	return n
}

func present(s *series.Series) number {
	if s == nil {
		return nothing
	}
	return func(f *frame) float64 {
		v, ok := s.Value(f.now.Boot)
		if !ok || !f.proved(s) {
			return math.NaN()
		}
		return v
	}
}

// proved reports whether the series has the samples after since that its present value needs.
func (f *frame) proved(s *series.Series) bool {
	if f.single {
		return s.Speaks(f.since, 1)
	}
	return s.Evident(f.since)
}

// nothing is the value of a signal that the instance does not have.
func nothing(*frame) float64 { return math.NaN() }

// truthOf reads a number as a condition: what is not zero is true.
func truthOf(num func(*binding) number) func(*binding) test {
	return func(b *binding) test {
		value := num(b)
		return func(f *frame) Truth {
			v := value(f)
			if math.IsNaN(v) {
				return Unknown
			}
			return Of(v != 0)
		}
	}
}

// find checks the name of a signal and returns its index among the program's.
func (c *compiler) find(e hclsyntax.Expression) (int, bool) {
	for {
		inner, ok := e.(*hclsyntax.ParenthesesExpr)
		if !ok {
			break
		}
		e = inner.Expression
	}
	t, ok := e.(*hclsyntax.ScopeTraversalExpr)
	if !ok || len(t.Traversal) == 1 || t.Traversal.RootName() == "label" || t.Traversal.RootName() == "threshold" {
		c.fail(e.Range(), "Not a signal", "The name of a signal is needed here, not %s.", short(e))
		return 0, false
	}
	name, ok := signalName(t.Traversal)
	if !ok {
		c.fail(e.Range(), "Unknown signal",
			`%s is not the name of a signal; a key is written in quotes: host.disk["/var"].`, short(e))
		return 0, false
	}
	p, err := signal.ParsePath(name)
	if err != nil {
		c.fail(e.Range(), "Unknown signal", "%s: %s.", short(e), err)
		return 0, false
	}
	in, ok := c.lookup(e.Range(), p)
	if !ok || !c.allowed(e.Range(), p, in) {
		return 0, false
	}
	return c.refer(p, in), true
}

// signalName writes a traversal as signal.ParsePath reads it.
func signalName(t hcl.Traversal) (string, bool) {
	var b strings.Builder
	for _, step := range t {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(s.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + s.Name)
		case hcl.TraverseIndex:
			if s.Key.IsNull() || s.Key.Type() != cty.String {
				return "", false
			}
			b.WriteString("[" + strconv.Quote(s.Key.AsString()) + "]")
		default:
			return "", false
		}
	}
	return b.String(), true
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
