package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/remedy"
)

// remedyDraft is a remedy whose conditions are not compiled yet.
type remedyDraft struct {
	*Remedy
	spec         remedy.Spec
	precondition hcl.Expression // nil: none
	verifyWhen   hcl.Expression // nil: none
	until        hcl.Expression // nil: none
	affects      []word
	permitAt     hcl.Range
	targetAt     hcl.Range // of the argument that names the target, or of the header
	withinAt     hcl.Range
}

func (l *loader) decodeRemedy(b *block) *remedyDraft {
	spec, _ := remedy.Lookup(b.labels[0])
	d := &remedyDraft{spec: spec, targetAt: b.header, withinAt: b.header}
	d.Remedy = &Remedy{
		Kind: spec.Kind, Name: b.name("remedy", checkName), Range: b.header, Confidence: b.share("confidence"),
		Attempts: b.integer("attempts"), Recurring: b.integer("recurring"), Cooldown: b.duration("cooldown"),
		Timeout: b.duration("timeout"),
	}
	d.precondition = b.condition("precondition")
	d.affects = b.texts("affects")
	for _, w := range d.affects {
		d.Affects = append(d.Affects, w.text)
	}
	d.Permit, d.permitAt = b.resource("permit"), b.at("permit")
	d.Args = b.arguments(spec)
	if isLimited(d.Args) {
		d.until = b.condition("until")
	}
	for _, arg := range spec.Args {
		if arg.Target && b.has(arg.Name) {
			d.targetAt = b.at(arg.Name)
		}
	}
	if v := b.single("verify"); v != nil {
		d.Verify = &Verify{Within: v.duration("within"), Hold: v.duration("hold")}
		d.verifyWhen, d.withinAt = v.condition("when"), v.at("within")
		if d.Verify.Within > 0 && d.Verify.Hold >= d.Verify.Within {
			v.fail("within", "Out of bounds", "within (%s) must be longer than hold (%s).", d.Verify.Within, d.Verify.Hold)
		}
	}
	return d
}

// leadsBack gives a remedy that goes back to what ran well what its service says: the unit that runs it, and the link to a
// release.
func (d *remedyDraft) leadsBack(s *Service) {
	a, ok := d.Args.(remedy.Returning)
	if !ok {
		return
	}
	if back := a.Returns(); len(back.Units) == 0 && !glob.Is(s.Unit) {
		back.Units = []string{s.Unit}
	}
	if link, ok := a.(*remedy.RollbackArgs); ok {
		link.Link = s.Release
	}
}

// arguments reads what the kind of remedy takes and has it checked.
func (b *block) arguments(spec remedy.Spec) remedy.Args {
	values := remedy.Values{}
	var commands [][]word
	for _, arg := range spec.Args {
		switch {
		case !b.has(arg.Name):
		case arg.Type == remedy.Command:
			words := b.templates(arg.Name)
			values[arg.Name] = plain(words)
			commands = append(commands, words)
		default:
			values[arg.Name] = b.argument(arg)
		}
	}
	args, problems := spec.Decode(values)
	for _, p := range problems {
		hint := ""
		if p.Given != "" {
			hint = meant(p.Given, p.Known)
		}
		at := b.header
		if p.Arg != "" {
			at = b.at(p.Arg)
		}
		b.l.fail(at, "Wrong argument", "%s.%s", p.Text, hint)
	}
	for _, words := range commands {
		b.program(words, string(remedy.Exec))
	}
	return args
}

func (b *block) argument(arg remedy.Arg) any {
	switch arg.Type {
	case remedy.String:
		return b.text(arg.Name)
	case remedy.Map:
		return b.dict(arg.Name)
	case remedy.Bool:
		return b.boolean(arg.Name)
	case remedy.Duration:
		return b.duration(arg.Name)
	case remedy.Strings:
		return plain(b.texts(arg.Name))
	case remedy.Integer:
		return b.integer(arg.Name)
	case remedy.Integers:
		return b.integers(arg.Name)
	case remedy.Share:
		return b.share(arg.Name)
	}
	panic(fmt.Sprintf("config: argument %s has the type %s", arg.Name, arg.Type))
}

func plain(words []word) []string {
	var list []string
	for _, w := range words {
		list = append(list, w.text)
	}
	return list
}
