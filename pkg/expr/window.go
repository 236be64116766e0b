package expr

import (
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// maxAhead is how far predict() looks: four times the longest window.
const maxAhead = 4 * MaxWindow

func (c *compiler) rate(e *hclsyntax.FunctionCallExpr) *node {
	ref, window, ok := c.windowed(e.Args[0], e.Args[1])
	if !ok {
		return nil
	}
	r := c.refs[ref]
	dim, ok := r.Info.Dim.PerSecond()
	if !ok || !r.Info.Counter {
		c.fail(e.Range(), "Wrong arguments", "rate() needs a counter, and %s goes up and down: use change().", r.Path)
		return nil
	}
	c.needClear("rate")
	return c.glance(e, glance{ref, window, dim, (*series.Series).Rate})
}

// change of a counter is its increase, so that a counter that began again does not look like a fall.
func (c *compiler) change(e *hclsyntax.FunctionCallExpr) *node {
	look := (*series.Series).Change
	ref, window, ok := c.windowed(e.Args[0], e.Args[1])
	if !ok {
		return nil
	}
	dim, ok := same(c.refs[ref].Info)
	if !ok {
		c.unfit(e, ref)
		return nil
	}
	if c.refs[ref].Info.Counter {
		look = (*series.Series).Increase
	}
	c.needClear("change")
	return c.glance(e, glance{ref, window, dim, look})
}

func (c *compiler) changeRatio(e *hclsyntax.FunctionCallExpr) *node {
	ref, window, ok := c.windowed(e.Args[0], e.Args[1])
	if !ok {
		return nil
	}
	if _, ok := same(c.refs[ref].Info); !ok {
		c.unfit(e, ref)
		return nil
	}
	c.needClear("change_ratio")
	return c.glance(e, glance{ref, window, signal.Ratio, (*series.Series).ChangeRatio})
}

func (c *compiler) quantile(e *hclsyntax.FunctionCallExpr) *node {
	share := c.constant(e.Args[0])
	ref, window, ok := c.windowed(e.Args[1], e.Args[2])
	if share == nil || !ok {
		return nil
	}
	p := share.value
	if share.dim != signal.Number && share.dim != signal.Ratio || p < 0 || p > 1 {
		c.fail(e.Args[0].Range(), "Wrong arguments", "A quantile is a share from 0 to 1, such as 0.99.")
		return nil
	}
	dim, ok := same(c.refs[ref].Info)
	if !ok {
		c.unfit(e, ref)
		return nil
	}
	look := func(s *series.Series, now, window, since time.Duration) (float64, bool) {
		return s.Quantile(p, now, window, since)
	}
	return c.glance(e, glance{ref, window, dim, look})
}

// ahead is the table entry of a function that draws a line through the samples of the third argument, by default a quarter
// of the time that it looks ahead, but no fewer than ten samples. samples is how many it needs.
func ahead(
	name string, samples int, look func(s *series.Series, ahead, now, window, since time.Duration) (float64, bool),
) function {
	usage := name + `(signal, "4h") or ` + name + `(signal, "4h", "1h")`
	return function{name, usage, 2, 3, func(c *compiler, e *hclsyntax.FunctionCallExpr) *node {
		ref, found := c.find(e.Args[0])
		ahead, ok := c.duration(e.Args[1])
		if !found || !ok {
			return nil
		}
		if ahead <= 0 || ahead > maxAhead {
			c.fail(e.Args[1].Range(), "Impossible window", "%s() looks ahead at most %s.", name, brief(maxAhead))
			return nil
		}
		window := min(MaxWindow, max(ahead/4, 10*c.refs[ref].Every))
		if len(e.Args) == 3 {
			if ref, window, ok = c.wide(e.Args[0], e.Args[2], samples); !ok {
				return nil
			}
		}
		dim, ok := same(c.refs[ref].Info)
		if !ok {
			c.unfit(e, ref)
			return nil
		}
		c.needClear(name)
		return c.glance(e, glance{ref, window, dim, func(s *series.Series, now, window, since time.Duration) (float64, bool) {
			return look(s, ahead, now, window, since)
		}})
	}}
}

// isAbsent compiles absent(signal): true while nothing is known of it. It is unknown itself only
// until the source has told anything.
func (c *compiler) isAbsent(e *hclsyntax.FunctionCallExpr) *node {
	outer := c.absent
	c.absent = true
	ref, ok := c.find(e.Args[0])
	c.absent = outer
	if !ok {
		return nil
	}
	r := c.refs[ref]
	value := func(b *binding) number { return present(b.series[ref]) }
	c.leaf(leaf{text: r.Path.String(), dim: r.Info.Dim, ref: ref, num: value})
	return &node{src: e, dim: signal.Bool, cond: func(b *binding) test {
		s := b.series[ref]
		if s == nil {
			return func(*frame) Truth { return Unknown }
		}
		return func(f *frame) Truth {
			absent, ok := s.Absent(f.now.Boot, f.since)
			if !ok || !absent && !f.proved(s) {
				return Unknown
			}
			return Of(absent)
		}
	}}
}
