package expr

import (
	"math"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// function is one function of the language.
type function struct {
	name    string
	usage   string
	min     int // arguments
	max     int
	compile func(*compiler, *hclsyntax.FunctionCallExpr) *node
}

// functions is the table of all functions, in the order of the documentation.
func functions() []function {
	return []function{
		over("avg", (*series.Series).Avg, average),
		over("min", (*series.Series).Min, same),
		over("max", (*series.Series).Max, same),
		over("sum", (*series.Series).Sum, same),
		over("last", (*series.Series).Newest, anything),
		over("count", (*series.Series).Count, counted),
		over("stddev", (*series.Series).Stddev, same),
		{"rate", `rate(counter, "5m")`, 2, 2, (*compiler).rate},
		{"change", `change(signal, "5m")`, 2, 2, (*compiler).change},
		{"change_ratio", `change_ratio(signal, "5m")`, 2, 2, (*compiler).changeRatio},
		{"quantile", `quantile(0.99, signal, "5m")`, 3, 3, (*compiler).quantile},
		ahead("predict", series.Enough, (*series.Series).Predict),
		ahead("predict_low", series.EnoughForEdge, (*series.Series).PredictLow),
		ahead("predict_high", series.EnoughForEdge, (*series.Series).PredictHigh),
		{"anomaly", `anomaly(signal)`, 1, 1, (*compiler).anomaly},
		{"absent", `absent(signal)`, 1, 1, (*compiler).isAbsent},
		{"held", `held(condition, "30s")`, 2, 2, (*compiler).held},
		{"hits", `hits(condition, 3, 5)`, 3, 3, (*compiler).hits},
		{"between", `between("09:00", "18:00", "Europe/Berlin")`, 2, 3, (*compiler).between},
		{"recent_change", `recent_change("30m") or recent_change("30m", "package")`, 1, 2, (*compiler).recentChange},
		{"weekday", `weekday() or weekday("Europe/Berlin")`, 0, 1, (*compiler).weekday},
	}
}

func (c *compiler) call(e *hclsyntax.FunctionCallExpr) *node {
	var names []string
	for _, fn := range functions() {
		if fn.name != e.Name {
			names = append(names, fn.name)
			continue
		}
		if e.ExpandFinal || len(e.Args) < fn.min || len(e.Args) > fn.max {
			c.fail(e.Range(), "Wrong arguments", "%s is written %s.", fn.name, fn.usage)
			return nil
		}
		return fn.compile(c, e)
	}
	c.fail(e.NameRange, "Unknown function", "There is no function %s%s", e.Name, meant(e.Name, names))
	return nil
}

// windowFunc is a window function of a series.
type windowFunc func(s *series.Series, now, window, since time.Duration) (float64, bool)

// glance is one use of a window function.
type glance struct {
	ref    int // the signal
	window time.Duration
	dim    signal.Dimension // of the result
	look   windowFunc
}

// over is the table entry of a window function whose only arguments are signal and window.
func over(name string, look windowFunc, dim func(signal.Info) (signal.Dimension, bool)) function {
	return function{name, name + `(signal, "5m")`, 2, 2, func(c *compiler, e *hclsyntax.FunctionCallExpr) *node {
		ref, window, ok := c.windowed(e.Args[0], e.Args[1])
		if !ok {
			return nil
		}
		d, ok := dim(c.refs[ref].Info)
		if !ok {
			c.unfit(e, ref)
			return nil
		}
		return c.glance(e, glance{ref, window, d, look})
	}}
}

// What comes out of a window function, by what goes in.

func same(in signal.Info) (signal.Dimension, bool) {
	return in.Dim, in.Dim != signal.Bool && in.Dim != signal.Text
}

func anything(in signal.Info) (signal.Dimension, bool) { return in.Dim, true }

func counted(signal.Info) (signal.Dimension, bool) { return signal.Count, true }

// average of a condition is the share of the time in which it was true.
func average(in signal.Info) (signal.Dimension, bool) {
	if in.Dim == signal.Bool {
		return signal.Ratio, true
	}
	return same(in)
}

// windowed compiles the two arguments that nearly all window functions have.
func (c *compiler) windowed(sig, window hclsyntax.Expression) (ref int, d time.Duration, ok bool) {
	return c.wide(sig, window, 2)
}

// wide is windowed for a function of which nothing is known with fewer samples.
func (c *compiler) wide(sig, window hclsyntax.Expression, samples int) (ref int, d time.Duration, ok bool) {
	ref, found := c.find(sig)
	d, ok = c.duration(window)
	if !found || !ok {
		return 0, 0, false
	}
	every := c.refs[ref].Every
	least := time.Duration(samples) * every
	switch {
	case d == 0:
		c.fail(window.Range(), "Impossible window", "A window is longer than no time.")
		return 0, 0, false
	case d < least:
		c.fail(window.Range(), "Impossible window", "%s is sampled every %s; a window over it is at least %s long.",
			c.refs[ref].Path, brief(every), brief(least))
		return 0, 0, false
	}
	return ref, d, c.withinMost(window.Range(), d)
}

func (c *compiler) withinMost(at hcl.Range, d time.Duration) bool {
	if d > MaxWindow {
		c.fail(at, "Impossible window", "%s is too long; the samples of at most %s are kept.", brief(d), brief(MaxWindow))
		return false
	}
	return true
}

// glance makes the node of a window function.
func (c *compiler) glance(e hclsyntax.Expression, g glance) *node {
	c.look(g.ref, g.window)
	n := &node{src: e, dim: g.dim, words: c.refs[g.ref].Info.Words}
	value := func(b *binding) number {
		s := b.series[g.ref]
		if s == nil {
			return nothing
		}
		return func(f *frame) float64 {
			if v, ok := g.look(s, f.now.Boot, g.window, f.since); ok {
				return v
			}
			return math.NaN()
		}
	}
	n.num = value
	if g.dim == signal.Bool {
		n.num, n.cond = nil, truthOf(value)
	}
	c.leaf(leaf{text: text(e), dim: g.dim, ref: g.ref, num: value})
	return n
}

// unfit notes that a function makes no sense for a signal.
func (c *compiler) unfit(e *hclsyntax.FunctionCallExpr, ref int) {
	r := c.refs[ref]
	c.fail(e.Range(), "Wrong arguments", "%s() cannot be taken of %s, which is %s.",
		e.Name, r.Path, describe(&node{dim: r.Info.Dim}))
}

// duration reads a literal such as "5m".
func (c *compiler) duration(e hclsyntax.Expression) (time.Duration, bool) {
	t, isText := e.(*hclsyntax.TemplateExpr)
	if isText {
		if s, ok := plain(t); ok {
			if d, err := time.ParseDuration(strings.TrimSpace(s)); err == nil && d >= 0 {
				return d, true
			}
		}
	}
	c.fail(e.Range(), "Impossible window", `A window is a literal such as "30s", "5m" or "1h30m", not %s.`, short(e))
	return 0, false
}
