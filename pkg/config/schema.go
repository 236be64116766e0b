package config

import (
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/remedy"
)

// attrType is the type that an attribute must have; nothing is converted.
type attrType string

const (
	text      attrType = "text"      // "…"
	texts     attrType = "texts"     // ["…"]
	dict      attrType = "dict"      // { name = "…" }
	duration  attrType = "duration"  // "10s"
	integer   attrType = "integer"   // 3
	integers  attrType = "integers"  // [200, 204]
	share     attrType = "share"     // 0.8 or 80 * percent
	hosts     attrType = "hosts"     // 2, a number of hosts, or 30 * percent of them
	boolean   attrType = "boolean"   // true
	condition attrType = "condition" // an expression of the rule language
)

// attr is one key of a block.
type attr struct {
	name        string
	typ         attrType
	required    bool
	def         any               // value when the key is absent; nil: the type's zero value
	least, most int64             // of an integer, or of a duration in nanoseconds
	words       []string          // the only words that a text may be
	later       map[string]string // words that come in a later release, and what for
}

// kind is what may stand in one type of block.
type kind struct {
	labels []string
	attrs  []attr
	blocks []string  // kinds of nested blocks
	refuse []refusal // names that are known and must not stand here
}

// refusal is a key or block that exists somewhere else, or not yet.
type refusal struct {
	name   string
	labels []string // of a block
	block  bool
	here   bool   // it exists today, and belongs somewhere else
	why    string // one sentence
}

// kinds is the grammar of the configuration, by block type. "agent" and "rules" are the top levels of
// agent.hcl and of a file in the rules folder; "remedy restart" is a remedy block of that kind.
type kinds map[string]*kind

func (k *kind) attr(name string) (attr, bool) {
	for _, a := range k.attrs {
		if a.name == name {
			return a, true
		}
	}
	return attr{}, false
}

// names lists what could have been meant by a misspelt key or block, refused names included: they
// are explained once they are spelt right.
func (k *kind) names() []string {
	var names []string
	for _, a := range k.attrs {
		names = append(names, a.name)
	}
	names = append(names, k.blocks...)
	for _, r := range k.refuse {
		names = append(names, r.name)
	}
	return names
}

// hclSchema is the kind as HCL wants it. That a key is missing is said by block.require, in words.
func (ks kinds) hclSchema(k *kind) *hcl.BodySchema {
	s := &hcl.BodySchema{}
	for _, a := range k.attrs {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: a.name})
	}
	for _, name := range k.blocks {
		s.Blocks = append(s.Blocks, hcl.BlockHeaderSchema{Type: name, LabelNames: ks[name].labels})
	}
	for _, r := range k.refuse {
		if r.block {
			s.Blocks = append(s.Blocks, hcl.BlockHeaderSchema{Type: r.name, LabelNames: r.labels})
		} else {
			s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: r.name})
		}
	}
	return s
}

// agentKinds is the grammar of agent.hcl and its rules, which nobody changes. Defaults come from package defaults, arguments of
// remedies from package remedy.
var agentKinds = sync.OnceValue(func() kinds {
	ks := kinds{}
	topKinds(ks)
	serviceKinds(ks)
	scrapeKinds(ks)
	contextKinds(ks)
	ks["query"] = queryKind()
	ks["statsd"] = statsdKind()
	ks["otlp"] = otlpKind()
	ruleKinds(ks)
	testKinds(ks)
	peopleKinds(ks)
	ks["bundle"] = bundleKind(ks)
	for _, s := range remedy.Specs() {
		ks["remedy "+string(s.Kind)] = remedyKind(s)
	}
	return ks
})

// remedyKind is what every remedy takes, and the arguments of its kind.
func remedyKind(s remedy.Spec) *kind {
	k := &kind{
		blocks: []string{"verify"},
		attrs: []attr{
			{name: "confidence", typ: share, def: defaults.Confidence},
			{name: "precondition", typ: condition},
			{name: "attempts", typ: integer, def: defaults.Attempts, least: 1, most: 100},
			{name: "recurring", typ: integer, def: defaults.Recurring, least: 1, most: 100},
			{name: "cooldown", typ: duration, def: defaults.Cooldown, most: int64(day)},
			{name: "timeout", typ: duration, def: defaults.ActionTimeout, least: int64(time.Second), most: int64(time.Hour)},
			{name: "affects", typ: texts},
			{name: "permit", typ: text},
		},
	}
	if args, _ := s.Decode(nil); isLimited(args) {
		k.attrs = append(k.attrs, attr{name: "until", typ: condition})
	}
	types := map[remedy.Type]attrType{
		remedy.String: text, remedy.Command: texts, remedy.Map: dict, remedy.Bool: boolean, remedy.Duration: duration,
		remedy.Strings: texts, remedy.Integer: integer, remedy.Integers: integers, remedy.Share: share,
	}
	for _, arg := range s.Args {
		a := attr{name: arg.Name, typ: types[arg.Type], least: int64(arg.Least), most: int64(arg.Most)}
		if arg.Type == remedy.Duration {
			a.least, a.most = int64(arg.Min), int64(arg.Max)
		}
		k.attrs = append(k.attrs, a)
	}
	return k
}

func isLimited(a remedy.Args) bool {
	_, ok := a.(remedy.Limited)
	return ok
}

const day = 24 * time.Hour

func inLaterRelease(what string) string { return what + " come in a later release." }
