package expr

import (
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

var operators = map[*hclsyntax.Operation]string{
	hclsyntax.OpLogicalOr: "||", hclsyntax.OpLogicalAnd: "&&", hclsyntax.OpEqual: "==", hclsyntax.OpNotEqual: "!=",
	hclsyntax.OpGreaterThan: ">", hclsyntax.OpGreaterThanOrEqual: ">=", hclsyntax.OpLessThan: "<",
	hclsyntax.OpLessThanOrEqual: "<=", hclsyntax.OpAdd: "+", hclsyntax.OpSubtract: "-",
	hclsyntax.OpMultiply: "*", hclsyntax.OpDivide: "/", hclsyntax.OpModulo: "%",
}

// maxShown is how much of an expression a message repeats.
const maxShown = 80

// text writes an expression in canonical form. What conditions cannot contain is written as "…".
func text(e hclsyntax.Expression) string {
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return "(" + text(e.Expression) + ")"
	case *hclsyntax.LiteralValueExpr:
		return literalText(e.Val)
	case *hclsyntax.TemplateExpr:
		if s, ok := plain(e); ok {
			return quote(s)
		}
	case *hclsyntax.ScopeTraversalExpr:
		return traversalText(e.Traversal)
	case *hclsyntax.FunctionCallExpr:
		args := make([]string, len(e.Args))
		for i, a := range e.Args {
			args[i] = text(a)
		}
		return e.Name + "(" + strings.Join(args, ", ") + ")"
	case *hclsyntax.UnaryOpExpr:
		if e.Op == hclsyntax.OpLogicalNot {
			return "!" + text(e.Val)
		}
		return "-" + text(e.Val)
	case *hclsyntax.BinaryOpExpr:
		return text(e.LHS) + " " + operators[e.Op] + " " + text(e.RHS)
	case *hclsyntax.ConditionalExpr:
		return text(e.Condition) + " ? " + text(e.TrueResult) + " : " + text(e.FalseResult)
	}
	return "…"
}

// short is the text of an expression as messages show it.
func short(e hclsyntax.Expression) string {
	s := []rune(text(e))
	if len(s) > maxShown {
		s = append(s[:maxShown-1], '…')
	}
	return string(s)
}

func literalText(v cty.Value) string {
	switch {
	case v.IsNull():
		return "null"
	case v.Type() == cty.Bool:
		return strconv.FormatBool(v.True())
	case v.Type() == cty.Number:
		f, _ := v.AsBigFloat().Float64()
		if a := max(f, -f); a != 0 && (a < 1e-6 || a > 1e15) {
			return strconv.FormatFloat(f, 'g', -1, 64)
		}
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return "…"
}

func traversalText(t hcl.Traversal) string {
	var b strings.Builder
	for _, step := range t {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(s.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + s.Name)
		case hcl.TraverseIndex:
			if s.Key.Type() == cty.String {
				b.WriteString("[" + quote(s.Key.AsString()) + "]")
			} else {
				b.WriteString("[" + literalText(s.Key) + "]")
			}
		default:
			b.WriteString("[…]")
		}
	}
	return b.String()
}

// quote writes a text as HCL does.
func quote(s string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes())
}

// plain is the text of a template without interpolation.
func plain(e *hclsyntax.TemplateExpr) (string, bool) {
	if len(e.Parts) == 0 {
		return "", true
	}
	l, ok := e.Parts[0].(*hclsyntax.LiteralValueExpr)
	if !ok || len(e.Parts) != 1 || l.Val.IsNull() || l.Val.Type() != cty.String {
		return "", false
	}
	return l.Val.AsString(), true
}
