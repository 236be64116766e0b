package config

import (
	"bytes"
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// literal reads a value that must be written out. HCL would convert types and evaluate whatever
// stands there; a few bytes of nested for-expressions, or a number turned into text, can take hours.
// So the source is looked at first, and only a plain literal is evaluated.
func (b *block) literal(e hcl.Expression, want cty.Type, form string) (cty.Value, bool) {
	src := bytes.TrimSpace(e.Range().SliceBytes(b.src))
	if literalType(src) != want {
		hint := ""
		if word := hcl.ExprAsKeyword(e); word != "" && want == cty.String {
			hint = " Put " + word + " in quotes."
		}
		if want == cty.String && hasTemplate(src) && bytes.Contains(src, []byte("${")) {
			hint = " Facts in ${ } stand in arguments of an exec remedy, and in what a group is told; $${ is the text ${."
		}
		b.l.fail(e.Range(), "Wrong type", "This must be %s, written out.%s", form, hint)
		return cty.NilVal, false
	}
	v, diags := e.Value(nil)
	b.l.diags = append(b.l.diags, diags...)
	return v, !diags.HasErrors() && v.Type() == want && v.IsKnown() && !v.IsNull()
}

var numberLiteral = regexp.MustCompile(`^-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?$`)

// literalType is the type of a literal by its source; NilType when it is not one.
func literalType(src []byte) cty.Type {
	switch {
	case bytes.HasPrefix(src, []byte("<<")):
		if !hasTemplate(src) {
			return cty.String
		}
	case len(src) >= 2 && src[0] == '"':
		if quoted(src) && !hasTemplate(src) {
			return cty.String
		}
	case numberLiteral.Match(src):
		return cty.Number
	case string(src) == "true", string(src) == "false":
		return cty.Bool
	}
	return cty.NilType
}

// quoted reports whether the first string of src is all of it.
func quoted(src []byte) bool {
	for i := 1; i < len(src); i++ {
		switch src[i] {
		case '\\':
			i++
		case '"':
			return i == len(src)-1
		}
	}
	return false
}

// hasTemplate reports whether a string holds ${…} or %{…} that HCL would evaluate. A doubled sign is
// HCL's way to write it as text.
func hasTemplate(src []byte) bool {
	for _, sign := range []byte{'$', '%'} {
		for i := 0; i+1 < len(src); i++ {
			if src[i] != sign {
				continue
			}
			run := i
			for i+1 < len(src) && src[i+1] == sign {
				i++
			}
			if i+1 < len(src) && src[i+1] == '{' && i-run != 1 {
				return true
			}
		}
	}
	return false
}
