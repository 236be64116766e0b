package expr

import (
	"fmt"
	"math"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// anomaly compiles anomaly(signal): how unusual it is, by what the series' detector has learned. All conditions that ask
// it of one series share the detector.
func (c *compiler) anomaly(e *hclsyntax.FunctionCallExpr) *node {
	ok := c.remembers(e)
	ref, found := c.find(e.Args[0])
	if !ok || !found {
		return nil
	}
	r := &c.refs[ref]
	dim, ok := same(r.Info)
	if r.Info.Counter {
		dim, ok = dim.PerSecond()
	}
	if !ok {
		c.unfit(e, ref)
		return nil
	}
	if r.Info.Event {
		c.fail(e.Range(), "Wrong arguments",
			"anomaly() learns from regular samples, and %s is told only when it changes.", r.Path)
		return nil
	}
	r.Anomaly = true
	c.needClear("anomaly")
	value := func(b *binding) number {
		s := b.series[ref]
		if s == nil {
			return nothing
		}
		l := &lookout{series: s}
		b.bound.memory = append(b.bound.memory, l)
		return l.score
	}
	c.leaf(leaf{text: text(e), dim: signal.Ratio, ref: ref, num: value, say: explain(dim)})
	return &node{src: e, dim: signal.Ratio, num: value}
}

// lookout shows a series' detector each sample, also while the answer does not depend on it.
type lookout struct{ series *series.Series }

func (l *lookout) step(f *frame) { l.series.Anomaly(f.now.Boot, f.since, f.now.Wall) }

func (l *lookout) score(f *frame) float64 {
	if v, ok := l.series.Anomaly(f.now.Boot, f.since, f.now.Wall); ok {
		return v
	}
	return math.NaN()
}

// explain writes a score with its reason: 0.97 (change, value: 45 % where 0 to 2 % was expected). dim is that of what the
// detector is shown.
func explain(dim signal.Dimension) func(*series.Series, float64) string {
	return func(s *series.Series, score float64) string {
		text := fmt.Sprintf("%.2f", math.Floor(score*100)/100) // 1 is never reached
		why, ok := s.Why()
		if !ok {
			return text
		}
		var broken []string
		for _, b := range why.Broken[:min(3, len(why.Broken))] {
			broken = append(broken, b.String())
		}
		return fmt.Sprintf("%s (%s: %s where %s was expected)", text, strings.Join(broken, ", "),
			signal.Format(dim, why.Value), signal.FormatRange(dim, why.Low, why.High))
	}
}
