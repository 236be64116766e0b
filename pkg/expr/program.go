package expr

import (
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// Program is a checked condition. It is immutable and may be shared; Bind makes what can be evaluated.
type Program struct {
	text   string
	rng    hcl.Range
	refs   []Ref
	words  []word
	leaves []leaf
	each   string
	clear  string
	window time.Duration
	root   func(*binding) test
}

// Ref is one signal that a condition reads.
type Ref struct {
	Path   signal.Path
	Info   signal.Info
	Every  time.Duration // sample period that the condition was checked with; 0 for events
	Window time.Duration // longest window over the signal; 0 when only its value is read
	// Absent: the condition reads the signal only to ask whether it is absent, so verification
	// demands no samples of it.
	Absent bool
	// Anomaly: the condition asks how unusual the signal is, so its series needs a detector.
	Anomaly bool
}

// proof is how long it takes until enough samples speak only about what came after some moment, for a
// signal whose samples look back.
func (r Ref) proof() time.Duration {
	if r.Info.Span == 0 {
		return 0
	}
	return r.Info.Span + series.Enough*r.Every
}

// word is a text that a condition compares with: a literal, or the value of a label.
type word struct {
	text  string
	label bool
}

// Compile checks a condition and compiles it. The program is nil if the diagnostics have errors;
// there may be warnings beside a program.
func Compile(e hcl.Expression, s *Scope) (*Program, hcl.Diagnostics) {
	c := &compiler{scope: s}
	root := c.condition(c.native(e))
	if root == nil {
		return nil, c.diags
	}
	return &Program{
		text: text(root.src), rng: root.src.Range(), refs: c.refs, words: c.words, leaves: c.leaves,
		each: c.each, clear: c.clear, window: c.window, root: root.cond,
	}, c.diags
}

// Given reports whether an optional attribute was set: for one that is missing, HCL's decoder gives
// a null and not nil.
func Given(e hcl.Expression) bool {
	_, ok := e.(hclsyntax.Expression)
	return ok
}

// Number evaluates a constant expression such as 30 * percent or 10 * MiB / s.
func Number(e hcl.Expression) (float64, signal.Dimension, hcl.Diagnostics) {
	c := &compiler{scope: &Scope{Use: ThresholdValue}}
	n := c.constant(c.native(e))
	if n == nil {
		return 0, signal.Number, c.diags
	}
	return n.value, n.dim, c.diags
}

// Text is the condition in a canonical form: the same whatever the spaces and line breaks.
func (p *Program) Text() string { return p.text }

// Range is where the condition stands.
func (p *Program) Range() hcl.Range { return p.rng }

// Refs are the signals that the condition reads, in the order of their appearance.
func (p *Program) Refs() []Ref { return p.refs }

// Each is the family whose key the condition leaves open, as in host.disk["*"]: then it is judged
// once per instance. "" when there is none.
func (p *Program) Each() string { return p.each }

// EventOnly reports whether every signal of the condition tells its changes by itself, so that the
// condition need not last before it counts.
func (p *Program) EventOnly() bool {
	for _, r := range p.refs {
		if !r.Info.Event {
			return false
		}
	}
	return len(p.refs) > 0
}

// NeedsClear names the construct because of which the rule must say when it clears, if there is
// one: that a change has ended or that it is six o'clock is no recovery.
func (p *Program) NeedsClear() (construct string, needed bool) {
	return p.clear, p.clear != ""
}

// Window is the longest time that the condition looks back, held() included, and the time that figures
// which look back themselves take to be about nothing else than what came after an action.
func (p *Program) Window() time.Duration { return p.window }

// Pace is the longest period of the polled signals of which a verification demands samples; 0 when there are none.
func (p *Program) Pace() (slowest time.Duration) {
	for _, r := range p.refs {
		if !r.Absent {
			slowest = max(slowest, r.Every)
		}
	}
	return slowest
}
