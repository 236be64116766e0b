package expr

import (
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/salveops/salve/pkg/signal"
)

// fail notes an error.
func (c *compiler) fail(at hcl.Range, summary, detail string, args ...any) {
	c.note(hcl.DiagError, at, summary, fmt.Sprintf(detail, args...))
}

func (c *compiler) note(severity hcl.DiagnosticSeverity, at hcl.Range, summary, detail string) {
	c.diags = append(c.diags, &hcl.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Subject: &at})
}

// mismatch notes that two things cannot stand beside each other.
func (c *compiler) mismatch(at hcl.Range, l, r *node) {
	c.fail(at, "Different dimensions", "%s is %s, %s is %s: they have nothing to do with each other.",
		short(l.src), describe(l), short(r.src), describe(r))
}

// refuse notes that a part of HCL is not part of the condition language.
func (c *compiler) refuse(e hclsyntax.Expression) {
	what, hint := "This", "."
	switch e := e.(type) {
	case *hclsyntax.ForExpr:
		what = "A for expression"
	case *hclsyntax.SplatExpr:
		what, hint = "A splat", `; every instance is written host.disk["*"].`
	case *hclsyntax.TemplateExpr, *hclsyntax.TemplateWrapExpr, *hclsyntax.TemplateJoinExpr:
		what = "A text with ${} or %{} in it"
	case *hclsyntax.IndexExpr:
		what, hint = "A computed key", `; keys are written in quotes: host.disk["/var"].`
	case *hclsyntax.RelativeTraversalExpr:
		if key, computed := e.Source.(*hclsyntax.IndexExpr); computed {
			c.refuse(key)
			return
		}
		what = "A name after a parenthesis or a call"
	case *hclsyntax.TupleConsExpr:
		what = "A list"
	case *hclsyntax.ObjectConsExpr:
		what = "An object"
	}
	c.fail(e.Range(), "Unsupported expression", "%s cannot be used in a condition%s", what, hint)
}

// describe is what a node is, in words for a message.
func describe(n *node) string {
	switch n.dim {
	case signal.Number:
		return "a bare number"
	case signal.Ratio:
		return "a ratio"
	case signal.Seconds:
		return "a time in seconds"
	case signal.Bytes:
		return "a size in bytes"
	case signal.Count:
		return "a count"
	case signal.PerSecond:
		return "a rate per second"
	case signal.BytesPerSecond:
		return "a throughput in bytes per second"
	case signal.Bool:
		return "true or false"
	}
	return "a text"
}

// meant ends a message about a word that does not exist.
func meant(word string, candidates []string) string {
	if best := signal.Closest(word, candidates); best != "" {
		return fmt.Sprintf(". Did you mean %s?", best)
	}
	return "."
}

// brief writes a duration without the zeros at its end.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
