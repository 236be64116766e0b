package shed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/remedy"
	"github.com/salveops/salve/pkg/signal"
)

// maxLooked is how many units are looked at.
const maxLooked = 64

// choice is one unit, and why it is this one.
type choice struct {
	remedy *config.Remedy
	victim string
	why    string   // in words
	uses   []string // of each unit that was looked at, a line each
}

// use is how much one unit uses: bytes, or the share of one CPU. NaN: nobody knows.
type use struct {
	unit   string
	amount float64
}

// choose finds the unit that uses most, among the victims that run and that it may be done to. One of which nobody knows
// what it uses is none of them, and neither is one that uses nothing.
func (k *Kind) choose(ctx context.Context, q kind.Request) (*choice, error) {
	a := argsOf(q)
	uses, err := k.measure(ctx, a.By, k.victims(q))
	if err != nil {
		return nil, err
	}
	rank(uses)
	c := &choice{remedy: q.Remedy}
	var spared error
	for i, u := range uses {
		line := fmt.Sprintf("%s  %s", u.unit, amount(a.By, u))
		if c.victim == "" && u.amount > 0 {
			err := k.spared(ctx, &kind.Step{Request: q, Target: u.unit})
			if err != nil {
				line += ", but " + err.Error()
				spared = errors.Join(spared, err)
			} else {
				c.victim, c.why = u.unit, reason(a.By, uses, i)
			}
		}
		c.uses = append(c.uses, line)
	}
	switch {
	case c.victim != "":
		return c, nil
	case spared != nil:
		return nil, spared
	case len(uses) == 0:
		return nil, kind.Refuse("none of %s runs that an allow block permits shed on", a.Names())
	}
	return nil, kind.Refuse("no %s is known to be used by any victim: %s", a.By, strings.Join(c.uses, ", "))
}

// spared is why it cannot be done to that unit. One that is throttled is left to the attempt that throttled it: two of them
// would take each other's limit for the one that was there before.
func (k *Kind) spared(ctx context.Context, s *kind.Step) error {
	switch held, err := k.InForce(remedy.Shed, s.Target); {
	case err != nil:
		return kind.Unknown("what was done to "+s.Target, err)
	case held:
		return kind.Postpone("%s has suffered already, and is to get it back first", s.Target)
	}
	return k.ways[argsOf(s.Request).How].Precheck(ctx, part(s))
}

// rank puts what uses most first; equals stay in the order in which they were declared, and the unknown comes last.
func rank(uses []use) {
	slices.SortStableFunc(uses, func(x, y use) int { return cmp.Compare(y.amount, x.amount) })
}

// victims are the units that run, that are declared and allowed, in the order in which they are declared: never that of
// the alert or of the remedy's own service.
func (k *Kind) victims(q kind.Request) []string {
	var found []string
	for _, glob := range argsOf(q).Victims {
		for _, name := range k.Systemd.Match(glob) {
			own := name == q.Unit || q.Remedy.Service != nil && q.Remedy.Service.Covers(name)
			if !own && k.Systemd.Active(name) == "active" && k.Allowed(remedy.Shed, name) && !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	return found[:min(maxLooked, len(found))]
}

// reason says why it is this one, beside the ones that use most of the others.
func reason(by string, uses []use, chosen int) string {
	const others = 3
	verb := map[string]string{remedy.ByMemory: "holds", remedy.ByCPU: "takes"}[by]
	words := []string{fmt.Sprintf("%s %s %s", uses[chosen].unit, verb, amount(by, uses[chosen]))}
	for i, u := range uses {
		if i != chosen && len(words) <= others {
			words = append(words, u.unit+" "+amount(by, u))
		}
	}
	return strings.Join(words, ", ")
}

func amount(by string, u use) string {
	if by == remedy.ByMemory {
		return signal.Format(signal.Bytes, u.amount)
	}
	if math.IsNaN(u.amount) {
		return "unknown"
	}
	return signal.Format(signal.Ratio, u.amount) + " of a CPU"
}
