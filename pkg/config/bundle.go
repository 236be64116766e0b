package config

import (
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/bundle"
)

// Bundle is what a controller delivers: rules, thresholds, and tests of them. What could give it more of a host than the
// choice among its own remedies (allow blocks, remedies, notifiers, places to read) cannot stand in it.
type Bundle struct {
	Name   string
	Files  []bundle.File
	Folder string // where the files lie, for messages; "": they were delivered
}

func (b *Bundle) path(f bundle.File) string {
	if b.Folder == "" {
		return "bundle " + b.Name + "/" + f.Name
	}
	return filepath.Join(b.Folder, f.Name)
}

// Delivered is what became of a bundle on this host.
type Delivered struct {
	Name     string
	Digest   bundle.Digest
	Rules    []string // that hold here
	Shadowed []string // names of its rules and thresholds that the host's files, or a bundle before it, have, too: those hold
	Absent   []string // rules about services that this host does not have
}

// BundleRule is a rule of a bundle.
type BundleRule struct {
	Name string
	// Digest is over the rule's keys and over all thresholds of the bundle: another one may decide otherwise.
	Digest [sha256.Size]byte
}

// maxBundleRules is how many rules a bundle has at most: judging so many costs a host next to nothing.
const maxBundleRules = 250

// CheckBundle checks a bundle as far as that can be done without a host: its bounds, what may stand in it, and each key.
// Whether conditions make sense depends on the services that they are about, so hosts check that. Without errors it
// returns the rules, in order.
func CheckBundle(b *Bundle) ([]BundleRule, hcl.Diagnostics) {
	l := newLoader(LoadOptions{Tests: true})
	l.rulesOnly = true
	rules := l.decodeBundle(b)
	_, diags := l.finish()
	if diags.HasErrors() {
		return nil, diags
	}
	return rules, nil
}

// bundleKind is the grammar of a bundle's files: that of the rules folder without all that a host permits or has itself.
func bundleKind(ks kinds) *kind {
	may := []string{"rule", "threshold", "test"}
	k := &kind{blocks: may, refuse: slices.Clone(ks["rules"].refuse)}
	for _, name := range ks["rules"].blocks {
		if !slices.Contains(may, name) {
			k.refuse = append(k.refuse, refusal{name: name, block: true, labels: ks[name].labels, here: true})
		}
	}
	for i := range k.refuse {
		k.refuse[i].why = "A bundle holds rule, threshold and test blocks; all else is for the files of the host itself."
	}
	return k
}

func (l *loader) decodeBundles() {
	for _, b := range l.opts.Bundles {
		l.decodeBundle(b)
	}
}

// decodeBundle reads what a bundle adds to the files that were read before it, which win wherever both have a name.
func (l *loader) decodeBundle(b *Bundle) []BundleRule {
	d := &Delivered{Name: b.Name, Digest: bundle.Sum(b.Files)}
	l.agent.Bundles = append(l.agent.Bundles, d)
	if err := bundle.Check(b.Files); err != nil {
		l.fail(hcl.Range{Filename: b.path(bundle.File{})}, "Not a bundle", "%s.", err)
		return nil
	}
	var files []*block
	for _, f := range b.Files {
		if file := l.sources.add(b.path(f), []byte(f.Text), l); file != nil {
			files = append(files, l.open(file, "bundle"))
		}
	}
	var thresholds, rules []*block
	count := 0
	for _, file := range files {
		thresholds = append(thresholds, l.beneath(d, "threshold", file.blocks("threshold"))...)
		all := file.blocks("rule")
		count += len(all)
		rules = append(rules, l.beneath(d, "rule", all)...)
	}
	if count == 0 && !l.diags.HasErrors() || count > maxBundleRules {
		l.fail(hcl.Range{Filename: b.path(b.Files[0])}, "Not a bundle", "It holds %d rules; a bundle has from 1 to %d.",
			count, maxBundleRules)
	}
	for _, t := range thresholds {
		l.decodeThreshold(t)
	}
	first := len(l.rules)
	for _, r := range rules {
		l.decodeRule(r)
	}
	for _, r := range l.rules[first:] {
		r.Bundle = b.Name
	}
	if l.opts.Tests {
		for _, file := range files {
			for _, t := range file.blocks("test") {
				l.decodeTest(t)
			}
		}
	}
	if l.diags.HasErrors() {
		return nil
	}
	return bundleRules(rules, thresholds)
}

// beneath leaves out the blocks whose name was declared before the bundle, and notes them.
func (l *loader) beneath(d *Delivered, kind string, blocks []*block) []*block {
	return slices.DeleteFunc(blocks, func(b *block) bool {
		_, taken := l.first[declaration(kind, "", b.labels[0])]
		if taken {
			d.Shadowed = append(d.Shadowed, b.labels[0])
		}
		return taken
	})
}

// bundleRules gives each rule its digest.
func bundleRules(rules, thresholds []*block) []BundleRule {
	shared := sha256.New()
	for _, t := range thresholds {
		t.write(shared, "threshold")
	}
	common := shared.Sum(nil)
	out := make([]BundleRule, len(rules))
	for i, r := range rules {
		sum := sha256.New()
		sum.Write(common)
		r.write(sum, "rule")
		out[i] = BundleRule{Name: r.labels[0], Digest: [sha256.Size]byte(sum.Sum(nil))}
	}
	return out
}

// write writes what a block of that type is called and says, key by key.
func (b *block) write(w io.Writer, typ string) {
	fmt.Fprintf(w, "%s %q {\n", typ, b.labels)
	for _, a := range b.kind.attrs {
		if b.has(a.name) {
			fmt.Fprintf(w, "%s %q\n", a.name, b.at(a.name).SliceBytes(b.src))
		}
	}
	for _, name := range b.kind.blocks {
		for _, n := range b.blocks(name) {
			n.write(w, name)
		}
	}
	fmt.Fprintln(w, "}")
}

// absent takes out a delivered rule that is about no service of this host.
func (l *loader) absent(d *ruleDraft) bool {
	if d.Bundle == "" || len(d.Services) == 0 || slices.ContainsFunc(l.agent.Services, d.About) {
		return false
	}
	for _, b := range l.agent.Bundles {
		if b.Name == d.Bundle {
			b.Absent = append(b.Absent, d.Name)
		}
	}
	return true
}

// report notes which delivered rules hold.
func (l *loader) report() {
	for _, b := range l.agent.Bundles {
		for _, r := range l.agent.Rules {
			if r.Bundle == b.Name {
				b.Rules = append(b.Rules, r.Name)
			}
		}
	}
}

// lacking is the hint for a rule that is not there because the host has nothing that it is about.
func (l *loader) lacking(rule string) string {
	for _, b := range l.agent.Bundles {
		if slices.Contains(b.Absent, rule) {
			return fmt.Sprintf(" The bundle's rule is about services that are not here: it takes the configuration of a host "+
				"that has them to test %q.", rule)
		}
	}
	return ""
}

// LoadBundleTests reads a bundle with its tests beneath the configuration of a host that is like those which get it, as
// LoadTests reads that; without one (on is "") by itself. With errors among the diagnostics the Agent is nil.
func LoadBundleTests(b *Bundle, on string, o LoadOptions) (*Agent, hcl.Diagnostics) {
	o.Tests, o.Offline, o.Bundles = true, true, []*Bundle{b}
	if on != "" {
		return LoadTests(on, o)
	}
	l := newLoader(o)
	l.rulesOnly = true
	l.decodeBundles()
	if !l.diags.HasErrors() {
		l.link()
	}
	return l.finish()
}
