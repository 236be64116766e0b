package config

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// block is one block, or a whole file, whose keys are known to be right. Its methods read values and
// tell the loader what is wrong with them; they then return the default, so that reading goes on.
type block struct {
	l       *loader
	kind    *kind
	content *hcl.BodyContent
	src     []byte
	labels  []string
	header  hcl.Range // of the block's first line; the beginning of a file
	labelAt hcl.Range // of the last label
	what    string    // `service "checkout"`
	within  string    // names the block around it; "" when that is a file
}

// What HCL calls an unknown key and an unknown block.
const (
	unsupportedKey   = "Unsupported argument"
	unsupportedBlock = "Unsupported block type"
)

// open begins a file.
func (l *loader) open(f *hcl.File, kind string) *block {
	start := f.Body.MissingItemRange()
	start.Start = hcl.InitialPos
	start.End = hcl.InitialPos
	what := map[string]string{"agent": agentFile, "rules": "a rules file", "bundle": "a bundle", "controller file": controllerFile}[kind]
	b := &block{l: l, kind: l.kinds[kind], src: f.Bytes, header: start, labelAt: start, what: what}
	b.read(f.Body)
	return b
}

// nested begins a block within b. Blocks of an unknown kind of remedy or notifier are reported and
// left out.
func (b *block) nested(raw *hcl.Block) *block {
	n := &block{l: b.l, src: b.src, labels: raw.Labels, header: raw.DefRange, labelAt: raw.DefRange, what: raw.Type}
	if len(b.labels) > 0 {
		n.within = place(b.header)
	}
	for i, label := range raw.Labels {
		n.what += fmt.Sprintf(" %q", label)
		n.labelAt = raw.LabelRanges[i]
	}
	name := raw.Type
	if len(b.l.kinds[name].labels) == 2 {
		name += " " + raw.Labels[0]
		if b.l.kinds[name] == nil {
			b.l.unknownKind(raw)
			return nil
		}
	}
	n.kind = b.l.kinds[name]
	b.l.count(raw.Type, raw.DefRange)
	n.read(raw.Body)
	return n
}

// read takes the body apart and complains about keys and blocks that do not belong.
func (b *block) read(body hcl.Body) {
	content, diags := body.Content(b.l.kinds.hclSchema(b.kind))
	for _, d := range diags {
		if d.Summary == unsupportedKey || d.Summary == unsupportedBlock {
			b.explain(d)
		}
		b.l.diags = append(b.l.diags, d)
	}
	b.content = content
	for _, r := range b.kind.refuse {
		b.refuse(r)
	}
	b.require()
}

// explain puts the name that was probably meant into the message. HCL itself suggests nothing that
// is set already, knows no names of later releases, and finds no block by a misspelt key.
func (b *block) explain(d *hcl.Diagnostic) {
	given := string(d.Subject.SliceBytes(b.src))
	what, other, form := "key", "block", "%s { … }"
	if d.Summary == unsupportedBlock {
		what, other, form = "block", "key", "%s = …"
	}
	d.Summary = "Unknown " + what
	d.Detail = fmt.Sprintf("%q is not a %s of %s.", given, what, b.what)
	if slices.Contains(b.kind.names(), given) {
		d.Detail += fmt.Sprintf(" It is a %s: "+form, other, given)
	} else {
		d.Detail += meant(given, b.kind.names())
	}
}

func (b *block) refuse(r refusal) {
	title := "Not yet"
	if r.here {
		title = "Not here"
	}
	if a := b.content.Attributes[r.name]; a != nil {
		b.l.fail(a.NameRange, title, "%q cannot be set in %s. %s", r.name, b.what, r.why)
	}
	for _, raw := range b.content.Blocks {
		if raw.Type == r.name {
			b.l.fail(raw.DefRange, title, "The block %q cannot stand in %s. %s", r.name, b.what, r.why)
		}
	}
}

func (b *block) require() {
	if b.refused() {
		return // what is missing may be what stands there and is refused
	}
	for _, a := range b.kind.attrs {
		if a.required && !b.has(a.name) {
			b.l.fail(b.header, "Missing key", "%s needs %q.", upper(b.what), a.name)
		}
	}
}

// refused reports whether a key is set that is known and refused.
func (b *block) refused() bool {
	return slices.ContainsFunc(b.kind.refuse, func(r refusal) bool { return !r.block && b.has(r.name) })
}

// blocks opens the nested blocks of one type, in the order of the file.
func (b *block) blocks(name string) []*block {
	var opened []*block
	for _, raw := range b.content.Blocks {
		if raw.Type != name {
			continue
		}
		if n := b.nested(raw); n != nil {
			opened = append(opened, n)
		}
	}
	sort.SliceStable(opened, func(i, j int) bool { return opened[i].header.Start.Byte < opened[j].header.Start.Byte })
	return opened
}

// single opens the nested block of a type that may stand once; nil when it is absent.
func (b *block) single(name string) *block {
	found := b.blocks(name)
	if len(found) == 0 {
		return nil
	}
	if len(found) > 1 {
		b.l.fail(found[1].header, "Duplicate "+name, "%s has one %s block already, at %s.",
			upper(b.what), name, place(found[0].header))
	}
	return found[0]
}

// optional is single, with an empty block, which has all defaults, when it is absent.
func (b *block) optional(name string) *block {
	if n := b.single(name); n != nil {
		return n
	}
	return &block{
		l: b.l, kind: b.l.kinds[name], content: &hcl.BodyContent{}, src: b.src, header: b.header, labelAt: b.labelAt,
		what: name,
	}
}

// has reports whether the key is set.
func (b *block) has(name string) bool { return b.content.Attributes[name] != nil }

// at is where the value of a key stands; the block's header when the key is absent.
func (b *block) at(name string) hcl.Range {
	if a := b.content.Attributes[name]; a != nil {
		return a.Expr.Range()
	}
	return b.header
}

// fail reports what is wrong with the value of a key.
func (b *block) fail(name, summary, format string, args ...any) {
	b.l.fail(b.at(name), summary, format, args...)
}

// one reports when not exactly one of the keys is set.
func (b *block) one(names ...string) {
	set := b.set(names...)
	if len(set) == 1 || len(set) == 0 && b.refused() {
		return
	}
	at := b.header
	if len(set) > 1 {
		at = b.content.Attributes[set[1]].NameRange
	}
	b.l.fail(at, "Exactly one is needed", "%s takes exactly one of %s.", upper(b.what), strings.Join(names, ", "))
}

// variant is a key that says of which variant a block is, with the keys that only it and some others have.
type variant struct {
	key string
	own []string
}

// variants sees to it that a block is of exactly one, and has no key that belongs to another.
func (b *block) variants(all []variant) {
	var keys []string
	owners := map[string][]string{}
	for _, s := range all {
		keys = append(keys, s.key)
		for _, own := range s.own {
			owners[own] = append(owners[own], s.key)
		}
	}
	b.one(keys...)
	block, _, _ := strings.Cut(b.what, " ")
	for _, a := range b.kind.attrs {
		if of := owners[a.name]; of != nil && b.has(a.name) && len(b.set(of...)) == 0 {
			b.fail(a.name, "Not for this "+block, "%s is for %s with %s.", a.name, plural(block), strings.Join(of, " or "))
		}
	}
}

// plural is the word for several blocks of a type.
func plural(block string) string {
	if stem, ok := strings.CutSuffix(block, "y"); ok {
		return stem + "ies"
	}
	return block + "s"
}

// set lists which of the keys are set.
func (b *block) set(names ...string) []string {
	var found []string
	for _, name := range names {
		if b.has(name) {
			found = append(found, name)
		}
	}
	return found
}

// upper begins a sentence with what a block is called; the name of a file stays as it is.
func upper(s string) string {
	if strings.HasSuffix(s, ".hcl") {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
