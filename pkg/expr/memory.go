package expr

import (
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// maxHits bounds the samples that hits() looks at.
const maxHits = 64

// remembers checks that a function with a memory can stand here: someone must evaluate it all the time.
func (c *compiler) remembers(e *hclsyntax.FunctionCallExpr) bool {
	switch c.scope.Use {
	case Precondition:
		c.fail(e.NameRange, "Function out of place",
			"%s() looks at earlier answers, and a precondition is asked only once.", e.Name)
		return false
	case ThresholdValue:
		c.fail(e.NameRange, "Function out of place", "%s() cannot be used in a threshold.", e.Name)
		return false
	}
	return true
}

func (c *compiler) held(e *hclsyntax.FunctionCallExpr) *node {
	ok := c.remembers(e)
	before := len(c.read)
	cond := c.condition(e.Args[0])
	own := c.read[before:]
	d, isDuration := c.duration(e.Args[1])
	if !ok || cond == nil || !isDuration || !c.withinMost(e.Args[1].Range(), d) {
		return nil
	}
	if d == 0 {
		c.fail(e.Args[1].Range(), "Impossible window", "A condition is held for more than no time.")
		return nil
	}
	c.window = max(c.window, d)
	for _, ref := range own {
		c.window = max(c.window, d+c.refs[ref].Info.Span)
	}
	return &node{src: e, dim: signal.Bool, cond: func(b *binding) test {
		h := &held{holds: cond.cond(b), window: d}
		b.bound.memory = append(b.bound.memory, h)
		return func(*frame) Truth { return h.answer }
	}}
}

// held remembers for how long a condition has been true.
type held struct {
	holds     test
	window    time.Duration
	answer    Truth
	running   bool          // true at the last evaluation
	start     time.Duration // of the run, if running
	broken    Truth         // what it was when it was last not true; Unknown before the first evaluation
	fell      bool          // lastFalse is set
	lastFalse time.Duration
}

func (h *held) step(f *frame) {
	now, t := f.now.Boot, h.holds(f)
	if t == True && !h.running {
		h.start = now
	}
	h.running = t == True
	if t != True {
		h.broken = t
	}
	if t == False {
		h.fell, h.lastFalse = true, now
	}
	fell := h.fell && (f.since == 0 || h.lastFalse > f.since)
	switch {
	case h.running && now-max(h.start, f.since) >= h.window:
		h.answer = True
	case fell && (now-h.lastFalse < h.window || h.running && h.broken == False):
		h.answer = False
	default:
		h.answer = Unknown // it was not known all the time, or has not been watched long enough
	}
}

// hits compiles hits(condition, k, n): true at k or more of the last n samples. Samples are counted by
// the slowest signal of the condition, so that no sample is counted twice.
func (c *compiler) hits(e *hclsyntax.FunctionCallExpr) *node {
	ok := c.remembers(e)
	before := len(c.read)
	cond := c.condition(e.Args[0])
	own := slices.Clone(c.read[before:])
	k, n, counted := c.counts(e)
	if !ok || cond == nil || !counted {
		return nil
	}
	if len(own) == 0 {
		c.fail(e.Args[0].Range(), "Wrong arguments", "hits() counts samples, and %s reads no signal.", short(e.Args[0]))
		return nil
	}
	for _, ref := range own {
		c.window = max(c.window, time.Duration(n)*c.refs[ref].Every+c.refs[ref].Info.Span)
	}
	return &node{src: e, dim: signal.Bool, cond: func(b *binding) test {
		h := &hits{holds: cond.cond(b), need: k, past: make([]hit, n), pace: slowest(b, own)}
		b.bound.memory = append(b.bound.memory, h)
		return func(*frame) Truth { return h.answer }
	}}
}

// counts reads the k and n of hits.
func (c *compiler) counts(e *hclsyntax.FunctionCallExpr) (k, n int, ok bool) {
	least, of := c.constant(e.Args[1]), c.constant(e.Args[2])
	if least == nil || of == nil {
		return 0, 0, false
	}
	k, n = int(least.value), int(of.value)
	if least.dim != signal.Number || of.dim != signal.Number || float64(k) != least.value || float64(n) != of.value ||
		k < 1 || n < k || n > maxHits {
		c.fail(e.Range(), "Wrong arguments", "hits(condition, k, n) needs whole numbers with 1 <= k <= n <= %d.", maxHits)
		return 0, 0, false
	}
	return k, n, true
}

// slowest picks the series that set the pace: the one with the longest period, or, where all tell
// their changes as they happen, each of them.
func slowest(b *binding, refs []int) []*series.Series {
	var pace []*series.Series
	for _, ref := range refs {
		s := b.series[ref]
		switch {
		case s == nil:
		case len(pace) == 0 || s.Every() > pace[0].Every():
			pace = append(pace[:0], s)
		case s.Every() == 0 && pace[0].Every() == 0:
			pace = append(pace, s)
		}
	}
	return pace
}

// hits remembers the last answers of a condition, one for each sample.
type hits struct {
	holds  test
	need   int
	past   []hit // a ring
	next   int
	pace   []*series.Series
	answer Truth
}

type hit struct {
	at   time.Duration // of the sample; 0: none yet
	hold Truth
}

func (h *hits) step(f *frame) {
	h.answer = Unknown
	if len(h.pace) == 0 {
		return
	}
	var newest time.Duration
	for _, s := range h.pace {
		_, at, _ := s.Last()
		newest = max(newest, at)
	}
	if last := h.past[(h.next+len(h.past)-1)%len(h.past)]; newest > last.at {
		h.past[h.next] = hit{at: newest, hold: h.holds(f)}
		h.next = (h.next + 1) % len(h.past)
	}
	if h.pace[0].Silent(f.now.Boot) {
		return
	}
	yes, no := 0, 0
	for _, p := range h.past {
		switch {
		case p.at <= f.since || p.hold == Unknown:
		case p.hold == True:
			yes++
		default:
			no++
		}
	}
	switch {
	case yes >= h.need:
		h.answer = True
	case no > len(h.past)-h.need:
		h.answer = False
	}
}
