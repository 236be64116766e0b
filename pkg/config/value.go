package config

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/signal"
)

// Bounds of values that people write by hand.
const (
	maxText      = 4096
	maxList      = 1000
	maxCondition = 16 << 10
)

// word is a text and where it stands.
type word struct {
	text string
	at   hcl.Range
}

// spec finds the key in the grammar. Asking for one that is not there is a mistake of this package.
func (b *block) spec(name string, typ attrType) (attr, *hcl.Attribute) {
	a, ok := b.kind.attr(name)
	if !ok || a.typ != typ {
		panic("config: " + b.what + " has no " + string(typ) + " " + name)
	}
	return a, b.content.Attributes[name]
}

// text reads a text. A closed list of words is checked here.
func (b *block) text(name string) string {
	return b.checked(name, func(string) string { return "" })
}

// checked reads a text that must pass a check, which returns what is wrong or "".
func (b *block) checked(name string, check func(string) string) string {
	a, set := b.spec(name, text)
	def, _ := a.def.(string)
	if set == nil {
		return def
	}
	w, ok := b.word(set.Expr)
	if !ok {
		return def
	}
	switch why, soon := a.later[w.text]; {
	case soon:
		b.l.fail(w.at, "Not yet", "%s = %q: %s.", name, w.text, why)
		return def
	case len(a.words) > 0 && !slices.Contains(a.words, w.text):
		b.l.fail(w.at, "Unknown word", "%s cannot be %q.%s", name, w.text, oneOf(w.text, a.words))
		return def
	}
	if wrong := check(w.text); wrong != "" {
		b.l.fail(w.at, "Wrong value", "%s: %s.", name, wrong)
	}
	return w.text
}

// texts reads a list of texts.
func (b *block) texts(name string) []word { return b.words(name, b.word) }

// words reads a list whose entries are read by one.
func (b *block) words(name string, one func(hcl.Expression) (word, bool)) []word {
	_, set := b.spec(name, texts)
	if set == nil {
		return nil
	}
	var list []word
	for _, e := range b.list(set.Expr, name, "texts") {
		w, ok := one(e)
		if !ok {
			continue
		}
		if w.text == "" {
			b.l.fail(w.at, "Empty text", "An empty text in %s means nothing.", name)
			continue
		}
		list = append(list, w)
	}
	return list
}

// integers reads a list of whole numbers within the key's bounds.
func (b *block) integers(name string) []int {
	a, set := b.spec(name, integers)
	if set == nil {
		return nil
	}
	var list []int
	for _, e := range b.list(set.Expr, name, "whole numbers") {
		if n, ok := b.whole(e, a); ok {
			list = append(list, n)
		}
	}
	return list
}

// dict reads a map of texts.
func (b *block) dict(name string) map[string]string {
	pairs := b.pairs(name)
	if pairs == nil {
		return nil
	}
	m := make(map[string]string, len(pairs))
	for _, p := range pairs {
		m[p.key.text] = p.value.text
	}
	return m
}

// pair is an entry of a map, and where it stands.
type pair struct{ key, value word }

// pairs reads a map of texts in the order of the file; nil when it is absent.
func (b *block) pairs(name string) []pair {
	_, set := b.spec(name, dict)
	if set == nil {
		return nil
	}
	entries, diags := hcl.ExprMap(set.Expr)
	if diags.HasErrors() || len(entries) > maxList {
		b.fail(name, "Wrong type", "%s must be written as { name = \"text\" }, with at most %d entries.", name, maxList)
		return nil
	}
	out, seen := make([]pair, 0, len(entries)), make(map[string]bool, len(entries))
	for _, e := range entries {
		key, ok := word{text: hcl.ExprAsKeyword(e.Key), at: e.Key.Range()}, true
		if key.text == "" {
			key, ok = b.word(e.Key)
		}
		value, good := b.word(e.Value)
		if !ok || !good {
			continue
		}
		if seen[key.text] {
			b.l.fail(key.at, "Duplicate key", "%q is in %s already.", key.text, name)
		}
		seen[key.text] = true
		out = append(out, pair{key, value})
	}
	return out
}

// duration reads a text such as "10s" within the key's bounds.
func (b *block) duration(name string) time.Duration {
	a, set := b.spec(name, duration)
	def, _ := a.def.(time.Duration)
	if set == nil {
		return def
	}
	w, ok := b.word(set.Expr)
	if !ok {
		return def
	}
	d, err := time.ParseDuration(w.text)
	if err != nil {
		b.l.fail(w.at, "Not a duration", "%s is a time such as \"500ms\", \"10s\", \"5m\" or \"1h30m\", not %q.",
			name, w.text)
		return def
	}
	if d < time.Duration(a.least) || d > time.Duration(a.most) {
		b.l.fail(w.at, "Out of bounds", "%s must be from %s to %s, not %s.", name,
			defaults.Duration(time.Duration(a.least)), defaults.Duration(time.Duration(a.most)), defaults.Duration(d))
		return def
	}
	return d
}

// integer reads a whole number within the key's bounds.
func (b *block) integer(name string) int {
	a, set := b.spec(name, integer)
	def, _ := a.def.(int)
	if set == nil {
		return def
	}
	if n, ok := b.whole(set.Expr, a); ok {
		return n
	}
	return def
}

func (b *block) whole(e hcl.Expression, a attr) (int, bool) {
	v, ok := b.literal(e, cty.Number, "a whole number")
	if !ok {
		return 0, false
	}
	f, _ := v.AsBigFloat().Float64()
	if f != math.Trunc(f) || f < float64(a.least) || f > float64(a.most) {
		b.l.fail(e.Range(), "Out of bounds", "%s must be a whole number from %d to %d.", a.name, a.least, a.most)
		return 0, false
	}
	return int(f), true
}

// share reads a number from 0 to 1, also written as 80 * percent.
func (b *block) share(name string) float64 {
	a, set := b.spec(name, share)
	def, _ := a.def.(float64)
	if set == nil || !b.short(set.Expr) {
		return def
	}
	v, dim, diags := expr.Number(set.Expr)
	if diags.HasErrors() {
		b.l.diags = append(b.l.diags, diags...)
		return def
	}
	if dim != signal.Number && dim != signal.Ratio {
		b.fail(name, "Wrong dimension", "%s is a share, a number from 0 to 1 such as 0.8 or 80 * percent, not %s.",
			name, dim)
		return def
	}
	if !(v >= 0 && v <= 1) {
		b.fail(name, "Out of bounds", "%s must be from 0 to 1; 80 percent is written as 0.8 or 80 * percent.", name)
		return def
	}
	return v
}

// limit reads a number of hosts, or a share of them such as 30 * percent.
func (b *block) limit(name string) Limit {
	a, set := b.spec(name, hosts)
	def, _ := a.def.(Limit)
	if set == nil || !b.short(set.Expr) {
		return def
	}
	if literalType(bytes.TrimSpace(set.Expr.Range().SliceBytes(b.src))) == cty.Number {
		n, ok := b.whole(set.Expr, a)
		if !ok {
			return def
		}
		return Limit{Hosts: n}
	}
	v, dim, diags := expr.Number(set.Expr)
	switch {
	case diags.HasErrors():
		b.l.diags = append(b.l.diags, diags...)
	case dim != signal.Ratio:
		b.fail(name, "Wrong dimension", "%s is a number of hosts, written out, or a share of them such as 30 * percent.",
			name)
	case !(v > 0 && v <= 1):
		b.fail(name, "Out of bounds", "A share in %s is above 0 and at most 100 * percent; for none at all write 0.", name)
	default:
		return Limit{Share: v}
	}
	return def
}

// boolean reads true or false.
func (b *block) boolean(name string) bool {
	_, set := b.spec(name, boolean)
	if set == nil {
		return false
	}
	v, ok := b.literal(set.Expr, cty.Bool, "true or false")
	return ok && v.True()
}

// condition hands out an expression of the rule language; nil when it is absent.
func (b *block) condition(name string) hcl.Expression {
	_, set := b.spec(name, condition)
	if set == nil || !b.short(set.Expr) {
		return nil
	}
	return set.Expr
}

func (b *block) short(e hcl.Expression) bool {
	r := e.Range()
	if r.End.Byte-r.Start.Byte <= maxCondition {
		return true
	}
	b.l.fail(r, "Too long", "An expression has at most %d bytes.", maxCondition)
	return false
}

func (b *block) list(e hcl.Expression, name, of string) []hcl.Expression {
	list, diags := hcl.ExprList(e)
	if diags.HasErrors() {
		b.l.fail(e.Range(), "Wrong type", "%s must be a list of %s in [ ].", name, of)
	}
	if len(list) > maxList {
		b.l.fail(e.Range(), "Too long", "%s has %d entries; at most %d.", name, len(list), maxList)
		return nil
	}
	return list
}

// word reads one text.
func (b *block) word(e hcl.Expression) (word, bool) {
	v, ok := b.literal(e, cty.String, "a text in quotes")
	if !ok {
		return word{}, false
	}
	if s := v.AsString(); len(s) > maxText || strings.ContainsRune(s, 0) {
		b.l.fail(e.Range(), "Too long", "A text has at most %d bytes, none of them zero.", maxText)
		return word{}, false
	}
	return word{text: v.AsString(), at: e.Range()}, true
}
