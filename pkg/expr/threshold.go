package expr

import (
	"math"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/salveops/salve/pkg/signal"
)

// Case is one case of a threshold: the value counts while the condition holds.
type Case struct{ When, Value hcl.Expression }

// Threshold is a named limit that may depend on the time, labels and signals of the host. The first
// case that holds wins, else the default. While it is unknown whether a case holds, and none before
// it does, the threshold is unknown.
type Threshold struct {
	name  string
	dim   signal.Dimension
	def   float64
	cases []thresholdCase
	scope *Scope
	bare  float64
}

type thresholdCase struct {
	when  hclsyntax.Expression
	value float64
}

// NewThreshold checks a threshold block. The threshold is nil if the diagnostics have errors. Of the
// scope only the labels, periods, spans, contexts, queries and the host's logs count: a threshold belongs to the host, not
// to a service.
func NewThreshold(name string, def hcl.Expression, cases []Case, s *Scope) (*Threshold, hcl.Diagnostics) {
	c := &compiler{scope: &Scope{Labels: s.Labels, Every: s.Every, Span: s.Span, HostLogs: s.HostLogs, Contexts: s.Contexts,
		Queries: s.Queries, Use: ThresholdValue}}
	t := &Threshold{name: name, scope: c.scope}
	first := c.constant(c.native(def))
	if first != nil {
		t.dim, t.def, t.bare = first.dim, first.value, first.bare
	}
	for _, cs := range cases {
		when, value := c.condition(c.native(cs.When)), c.constant(c.native(cs.Value))
		if when == nil || value == nil || first == nil {
			continue
		}
		dim, ok := c.join(first, value)
		if !ok {
			continue
		}
		t.dim, t.bare = dim, max(t.bare, value.bare)
		t.cases = append(t.cases, thresholdCase{when: when.src, value: value.value})
	}
	if c.diags.HasErrors() {
		return nil, c.diags
	}
	return t, c.diags
}

// Name is what conditions write after "threshold.".
func (t *Threshold) Name() string { return t.name }

// Dim is the dimension of all its values.
func (t *Threshold) Dim() signal.Dimension { return t.dim }

// Cased reports whether the threshold has cases, so that its value can change.
func (t *Threshold) Cased() bool { return len(t.cases) > 0 }

// threshold compiles the use of a threshold. Its cases become part of the condition, so that their
// signals are the condition's too.
func (c *compiler) threshold(e hclsyntax.Expression, t *Threshold) *node {
	n := &node{src: e, dim: t.dim, bare: t.bare}
	if !t.Cased() {
		n.set(t.def)
		c.leaf(leaf{text: text(e), dim: t.dim, ref: -1, num: n.num})
		return n
	}
	c.needClear("threshold." + t.name + " (it has cases)")
	inner := &compiler{scope: t.scope, refs: c.refs, words: c.words}
	tests := make([]func(*binding) test, len(t.cases))
	for i, cs := range t.cases {
		if when := inner.condition(cs.when); when != nil {
			tests[i] = when.cond
		}
	}
	c.refs, c.words, c.window = inner.refs, inner.words, max(c.window, inner.window)
	n.num = func(b *binding) number { return t.bind(b, tests) }
	c.leaf(leaf{text: text(e), dim: t.dim, ref: -1, num: n.num})
	return n
}

func (t *Threshold) bind(b *binding, tests []func(*binding) test) number {
	bound := make([]test, len(tests))
	for i, make := range tests {
		bound[i] = make(b)
	}
	value := func(f *frame) float64 {
		for i, holds := range bound {
			switch holds(f) {
			case True:
				return t.cases[i].value
			case Unknown:
				return math.NaN()
			}
		}
		return t.def
	}
	if !b.frozen {
		return value
	}
	fixed := value(&b.bound.frame)
	return func(*frame) float64 { return fixed }
}
