package expr

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/salveops/salve/pkg/signal"
)

// recentChange compiles recent_change(within, kind): whether something was changed no longer ago than that. In a condition
// about a service that is the service or its host, else the host.
func (c *compiler) recentChange(e *hclsyntax.FunctionCallExpr) *node {
	within, ok := c.duration(e.Args[0])
	p := signal.Path{Family: signal.HostChange, Field: signal.AnyChange}
	if c.scope.Service {
		p.Family = signal.Change
	}
	if len(e.Args) == 2 {
		var said bool
		p.Field, said = c.changeKind(e.Args[1])
		ok = ok && said
	}
	if !ok {
		return nil
	}
	if within <= 0 || within >= signal.NoChange {
		c.fail(e.Args[0].Range(), "Impossible window", "recent_change() looks back for more than no time and less than %s.",
			brief(signal.NoChange))
		return nil
	}
	in, _ := signal.Lookup(p)
	ref := c.refer(p, in)
	c.needClear("recent_change")
	age := func(b *binding) number { return present(b.series[ref]) }
	c.leaf(leaf{text: p.String(), dim: in.Dim, ref: ref, num: age})
	return &node{src: e, dim: signal.Bool, cond: func(b *binding) test {
		age := age(b)
		return func(f *frame) Truth {
			v := age(f)
			if math.IsNaN(v) {
				return Unknown
			}
			return Of(time.Duration(v*float64(time.Second)) <= within)
		}
	}}
}

// changeKind reads the kind of change that is asked for.
func (c *compiler) changeKind(e hclsyntax.Expression) (string, bool) {
	kind, ok := c.literalText(e)
	if kinds := signal.ChangeKinds(); ok && !slices.Contains(kinds, kind) {
		hint := meant(kind, kinds)
		if hint == "." {
			hint = ": they are " + strings.Join(kinds, ", ") + "."
		}
		c.fail(e.Range(), "Unknown kind", "There is no kind of change %q%s", kind, hint)
		return "", false
	}
	return kind, ok
}
