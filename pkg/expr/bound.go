package expr

import (
	"math"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// Binder finds what a program refers to, for one instance.
type Binder interface {
	// Series of a signal; nil when the instance has none, which reads as unknown. The key
	// signal.AnyKey stands for the instance's own.
	Series(signal.Path) *series.Series
	// Label of the host.
	Label(name string) (string, bool)
	// Intern gives the number that stands for a word in Text series.
	Intern(word string) float64
}

// Bound is a condition tied to the series of one instance. It remembers what held() and hits() have
// seen, so it is to be evaluated at every tick, by one goroutine.
type Bound struct {
	program *Program
	links   links
	root    test
	frame   frame
	memory  []memory
	proof   []*series.Series
	leaves  []boundLeaf
}

// frame is the moment of one evaluation.
type frame struct {
	now   clock.Instant
	since time.Duration // samples up to this moment do not count; 0: all do
	// single: one sample after since is enough for now. So held() and hits() can begin to count at
	// once; that there are enough samples in the end is checked for the whole condition.
	single bool
}

type (
	test   func(*frame) Truth
	number func(*frame) float64 // NaN: unknown; never infinite
)

// memory is the part of a condition that remembers earlier evaluations. All of them are brought up
// to date at each evaluation, also those that the answer does not depend on.
type memory interface{ step(*frame) }

// links are the program's references, resolved.
type links struct {
	series []*series.Series // by index of Program.refs
	words  []float64        // by index of Program.words
}

// binding is the context in which closures are made.
type binding struct {
	links
	bound  *Bound
	frozen bool // thresholds take the value that they have in bound.frame
}

// Bind ties the program to one instance.
func (p *Program) Bind(to Binder) *Bound {
	l := links{series: make([]*series.Series, len(p.refs)), words: make([]float64, len(p.words))}
	for i, r := range p.refs {
		l.series[i] = to.Series(r.Path)
	}
	for i, w := range p.words {
		text := w.text
		if w.label {
			text, _ = to.Label(w.text)
		}
		l.words[i] = to.Intern(text)
	}
	return p.link(l, false, frame{})
}

func (p *Program) link(l links, frozen bool, at frame) *Bound {
	b := &Bound{program: p, links: l, frame: at}
	in := &binding{links: l, bound: b, frozen: frozen}
	b.root = p.root(in)
	for i, r := range p.refs {
		if !r.Absent {
			b.proof = append(b.proof, l.series[i])
		}
	}
	quiet := &binding{links: l, bound: &Bound{frame: at}, frozen: frozen}
	for _, f := range p.leaves {
		b.leaves = append(b.leaves, f.bind(quiet, p.refs))
	}
	return b
}

// Program is the condition that was bound.
func (b *Bound) Program() *Program { return b.program }

// Eval judges the condition now.
func (b *Bound) Eval(now clock.Instant) Truth { return b.eval(now, 0) }

// EvalSince judges the condition by the samples strictly later than since (a Boot time) only. It is
// True only if there are enough samples of every signal in it (series.Enough of a polled one, one
// of an event), and Unknown where they are needed and missing. A Bound that has held() or hits() in
// it and was evaluated before remembers that; verification uses one of its own, made by Freeze.
func (b *Bound) EvalSince(now clock.Instant, since time.Duration) Truth {
	return b.prove(b.eval(now, since), since)
}

// DenySince judges the opposite of the condition by the samples strictly later than since only: the
// recovery of a rule without a clear condition of its own. It asks for the same samples as EvalSince.
func (b *Bound) DenySince(now clock.Instant, since time.Duration) Truth {
	return b.prove(b.eval(now, since).Not(), since)
}

// prove lets True pass only if there are enough samples later than since of every signal.
func (b *Bound) prove(t Truth, since time.Duration) Truth {
	if t != True {
		return t
	}
	for _, s := range b.proof {
		if s == nil || !s.Evident(since) {
			return Unknown
		}
	}
	return True
}

func (b *Bound) eval(now clock.Instant, since time.Duration) Truth {
	b.frame = frame{now: now, since: since, single: true}
	for _, m := range b.memory {
		m.step(&b.frame)
	}
	b.frame.single = false
	return b.root(&b.frame)
}

// Freeze is the same condition for the same instance, with the thresholds fixed at the values that
// they have now and with nothing remembered.
func (b *Bound) Freeze(now clock.Instant) *Bound {
	return b.program.link(b.links, true, frame{now: now})
}

// Reading is one figure behind a condition, as it is now.
type Reading struct {
	Signal string // canonical name, or the call or threshold as written: avg(unit.cpu, "5m")
	Value  float64
	Known  bool
	Text   string // as people read it; "unknown" if it is not known
}

// Readings are all signals, window functions and thresholds of the condition, each once.
func (b *Bound) Readings(now clock.Instant) []Reading {
	f := frame{now: now}
	out := make([]Reading, 0, len(b.leaves))
	for _, l := range b.leaves {
		r := Reading{Signal: l.text, Text: "unknown"}
		if v := l.value(&f); !math.IsNaN(v) {
			r.Value, r.Known, r.Text = v, true, l.format(v)
		}
		out = append(out, r)
	}
	return out
}

// leaf is something in a condition that has a value of its own to show.
type leaf struct {
	text string
	dim  signal.Dimension
	ref  int // index of the signal; -1: none
	num  func(*binding) number
	// say writes the value of a leaf with a signal, where its dimension is not all that is to say; nil: it is.
	say func(*series.Series, float64) string
}

type boundLeaf struct {
	text   string
	value  number
	format func(float64) string
}

func (l leaf) bind(in *binding, refs []Ref) boundLeaf {
	out := boundLeaf{text: l.text, value: l.num(in), format: func(v float64) string { return signal.Format(l.dim, v) }}
	if l.ref < 0 || in.series[l.ref] == nil {
		return out
	}
	s := in.series[l.ref]
	out.text = strings.Replace(l.text, refs[l.ref].Path.String(), s.Key().Signal, 1)
	switch {
	case l.say != nil:
		out.format = func(v float64) string { return l.say(s, v) }
	case l.dim == signal.Text:
		out.format = s.Format
	}
	return out
}
