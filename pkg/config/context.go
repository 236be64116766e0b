package config

import (
	"maps"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/jsonpath"
	"github.com/salveops/salve/pkg/signal"
)

// contextVariants are the keys that say where a context's document is, of which it has exactly one.
var contextVariants = []variant{{"http", []string{"timeout"}}, {"file", []string{"max_age"}}}

// fieldDims are the dimensions of fields, by unit.
var fieldDims = map[string]signal.Dimension{
	"count": signal.Count, "ratio": signal.Ratio, "seconds": signal.Seconds, "bytes": signal.Bytes,
}

func contextKinds(ks kinds) {
	ks["context"] = &kind{
		labels: []string{"name"},
		blocks: []string{"field"},
		attrs: []attr{
			{name: "http", typ: text}, {name: "file", typ: text},
			{name: "every", typ: duration, def: defaults.ContextEvery, least: int64(time.Second), most: int64(time.Hour)},
			{name: "timeout", typ: duration, def: defaults.ContextWait,
				least: int64(10 * time.Millisecond), most: int64(time.Minute)},
			{name: "max_age", typ: duration, def: defaults.ContextAge, most: int64(365 * day)},
		},
	}
	ks["field"] = &kind{
		labels: []string{"name"},
		attrs: []attr{
			{name: "path", typ: text, required: true},
			{name: "unit", typ: text, def: defaults.ContextUnit, words: slices.Sorted(maps.Keys(fieldDims))},
		},
	}
}

func (l *loader) decodeContext(b *block) *Context {
	c := &Context{
		Name: b.name("context", checkWord), Range: b.header,
		HTTP: b.checked("http", checkURL), File: b.checked("file", checkAbsolute), Every: b.duration("every"),
	}
	b.variants(contextVariants)
	if b.has("http") {
		c.Timeout = b.patience(c.Every)
	}
	if b.has("file") {
		c.MaxAge = b.duration("max_age")
		if c.MaxAge > 0 && c.MaxAge < c.Every {
			b.fail("max_age", "Out of bounds", "max_age (%s) must not be shorter than every (%s).", c.MaxAge, c.Every)
		}
	}
	for _, nested := range b.blocks("field") {
		c.Fields = append(c.Fields, l.decodeField(nested))
	}
	if len(c.Fields) == 0 {
		l.fail(b.header, "Missing block", "%s has no field: nothing would be read from the document.", upper(b.what))
	}
	return c
}

func (l *loader) decodeField(b *block) *Field {
	f := &Field{Name: b.name("field", checkWord), Range: b.header, Dim: fieldDims[b.text("unit")]}
	b.checked("path", func(s string) string {
		var err error
		if f.Path, err = jsonpath.Parse(s); err != nil {
			return err.Error()
		}
		return ""
	})
	return f
}

// info describes a field of the context as a signal.
func (c *Context) info(f *Field) signal.Info {
	in, _ := signal.Lookup(f.Signal(c))
	in.Dim, in.Every = f.Dim, c.Every
	return in
}

// Signal is the name by which conditions know the field of that context.
func (f *Field) Signal(c *Context) signal.Path {
	return signal.Path{Family: signal.Context, Key: c.Name, Field: f.Name}
}

// contexts describes the fields of all contexts, by context and field.
func (a *Agent) contexts() map[string]map[string]signal.Info {
	all := map[string]map[string]signal.Info{}
	for _, c := range a.Contexts {
		all[c.Name] = map[string]signal.Info{}
		for _, f := range c.Fields {
			all[c.Name][f.Name] = c.info(f)
		}
	}
	return all
}

// contextSignals are the names of the signals of all contexts, in order of declaration.
func (a *Agent) contextSignals() []string {
	var names []string
	for _, c := range a.Contexts {
		for _, f := range c.Fields {
			names = append(names, f.Signal(c).String())
		}
	}
	return names
}
