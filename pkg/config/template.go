package config

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/salveops/salve/pkg/remedy"
)

var factReference = regexp.MustCompile(`^\$\{ *([A-Za-z_][A-Za-z0-9_.-]*) *\}`)

// templates reads a list of words that may hold an attempt's facts, as package remedy writes them.
func (b *block) templates(name string) []word {
	return b.words(name, func(e hcl.Expression) (word, bool) { return b.template(e, remedy.Facts()) })
}

// template reads one word that may hold these facts. Of HCL's templates only the plain ${fact} is taken: the source is looked at before anything is
// evaluated, as in literal.
func (b *block) template(e hcl.Expression, facts []string) (word, bool) {
	src := e.Range().SliceBytes(b.src)
	if !hasTemplate(src) || !bytes.HasPrefix(src, []byte(`"`)) && !bytes.HasPrefix(src, []byte("<<")) {
		w, ok := b.word(e)
		w.text = escaped(w.text)
		return w, ok
	}
	known, plain := map[string]cty.Value{}, slices.Clone(src)
	count := 0
	for i := 0; i < len(src); i++ {
		if src[i] == '$' && bytes.HasPrefix(src[i:], []byte("$${")) && !bytes.HasPrefix(src[i:], []byte("$$${")) {
			i += len("$${") - 1
			continue
		}
		m := factReference.FindSubmatch(src[i:])
		if m == nil {
			continue
		}
		name := string(m[1])
		if !slices.Contains(facts, name) {
			b.l.fail(within(e.Range(), src, i, i+len(m[0])), "Unknown fact", "There is no fact %q.%s", name, oneOf(name, facts))
			return word{}, false
		}
		known[name] = cty.StringVal("\x00" + name + "\x00") // no text of a configuration holds a zero byte
		for j := range m[0] {
			plain[i+j] = '_'
		}
		i += len(m[0]) - 1
		count++
	}
	if literalType(bytes.TrimSpace(plain)) != cty.String {
		b.l.fail(e.Range(), "Wrong template", "Here ${ } holds one fact and nothing else: %s.", strings.Join(facts, ", "))
		return word{}, false
	}
	v, diags := e.Value(&hcl.EvalContext{Variables: known})
	b.l.diags = append(b.l.diags, diags...)
	if diags.HasErrors() || v.Type() != cty.String || !v.IsKnown() || v.IsNull() {
		return word{}, false
	}
	parts := strings.Split(v.AsString(), "\x00")
	if len(parts) != 2*count+1 || len(v.AsString()) > maxText {
		b.l.fail(e.Range(), "Too long", "A text has at most %d bytes, none of them zero.", maxText)
		return word{}, false
	}
	for i, p := range parts {
		if parts[i] = escaped(p); i%2 == 1 {
			parts[i] = "${" + p + "}"
		}
	}
	return word{text: strings.Join(parts, ""), at: e.Range()}, true
}

// escaped is a text as a word that holds facts has it.
func escaped(text string) string { return strings.ReplaceAll(text, "${", "$${") }

// within is the part of a range, by bytes of its source.
func within(r hcl.Range, src []byte, from, to int) hcl.Range {
	start := r.Start
	r.Start, r.End = moved(start, src[:from]), moved(start, src[:to])
	return r
}

// moved is the position behind that text.
func moved(p hcl.Pos, text []byte) hcl.Pos {
	p.Byte += len(text)
	if i := bytes.LastIndexByte(text, '\n'); i >= 0 {
		p.Line, p.Column, text = p.Line+bytes.Count(text, []byte("\n")), 1, text[i+1:]
	}
	p.Column += len([]rune(string(text)))
	return p
}
