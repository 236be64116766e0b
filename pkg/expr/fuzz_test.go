package expr

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Whatever is written as a condition: no panic, no program beside an error, and a program's text
// compiles to the same text.
func FuzzCompile(f *testing.F) {
	f.Add("unit.failed")
	s := scope()
	s.Thresholds = map[string]*Threshold{
		"slow": threshold(f, "slow", "2 * s", s, "weekday() && host.load.per_cpu > 1", "1 * s"),
	}
	f.Fuzz(func(t *testing.T, src string) {
		e, diags := hclsyntax.ParseExpression([]byte(src), "rules.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			return // HCL's own business
		}
		Number(e)
		p, diags := Compile(e, s)
		if (p == nil) != diags.HasErrors() {
			t.Fatalf("program %v with %v", p, diags)
		}
		if p == nil {
			return
		}
		if again := compile(t, p.Text(), s); again.Text() != p.Text() {
			t.Errorf("%s is written %s, and then %s", src, p.Text(), again.Text())
		}
		b := p.Bind(newHost(p))
		b.Eval(monday)
		b.EvalSince(monday, monday.Boot/2)
		b.Freeze(monday).Readings(monday)
	})
}
