package config

import (
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// agentFile is the file by which a folder is known as a whole configuration.
const agentFile = "agent.hcl"

// Validate checks what each path names, and returns everything that was found:
//
//   - a folder with an agent.hcl, or that file itself, is a whole configuration;
//   - any other folder or file is rules without their agent.hcl, checked as far as they go: allow
//     blocks, labels, notifiers and escalations are taken to be right.
func Validate(o LoadOptions, paths ...string) hcl.Diagnostics {
	var all hcl.Diagnostics
	for _, path := range paths {
		_, diags := validate(path, o)
		all = append(all, diags...)
	}
	return all
}

func validate(path string, o LoadOptions) (*Agent, hcl.Diagnostics) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		whole := filepath.Join(path, agentFile)
		if _, err := os.Stat(whole); err == nil {
			return LoadAgent(whole, o)
		}
		return loadRules(path, true, o)
	}
	l := newLoader(o)
	file := l.sources.read(path, l)
	if file == nil {
		return l.finish()
	}
	if filepath.Base(path) == agentFile || l.wholeAgent(file) {
		return LoadAgent(path, o)
	}
	return loadRules(path, false, o)
}

// wholeAgent reports whether a file says something that only agent.hcl may say.
func (l *loader) wholeAgent(file *hcl.File) bool {
	schema := &hcl.BodySchema{}
	for _, r := range l.kinds["rules"].refuse {
		if r.why == elsewhere && r.block {
			schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: r.name, LabelNames: r.labels})
		} else if r.why == elsewhere {
			schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: r.name})
		}
	}
	content, _, _ := file.Body.PartialContent(schema)
	return content != nil && len(content.Attributes)+len(content.Blocks) > 0
}

// loadRules checks rules without their agent.hcl.
func loadRules(path string, folder bool, o LoadOptions) (*Agent, hcl.Diagnostics) {
	l := newLoader(o)
	l.rulesOnly = true
	names := []string{path}
	if folder {
		names = l.list(path, hcl.Range{Filename: path}, true)
		if len(names) == 0 && !l.diags.HasErrors() {
			l.fail(hcl.Range{Filename: path}, "Nothing to check", "The folder holds no .hcl files.")
		}
	}
	var files []*hcl.File
	for _, name := range names {
		if f := l.sources.read(name, l); f != nil {
			files = append(files, f)
		}
	}
	for _, f := range files {
		l.decodeRules(l.open(f, "rules"))
	}
	if !l.diags.HasErrors() {
		l.link()
	}
	return l.finish()
}

// Format rewrites a file in the canonical layout of HCL. A file that cannot be parsed is returned as
// it is, with the reason.
func Format(src []byte) ([]byte, hcl.Diagnostics) {
	const name = "input"
	l := newLoader(LoadOptions{})
	if l.sources.parse(name, src, l); l.sources.failed {
		return src, l.sources.arrange(l.diags)
	}
	out := hclwrite.Format(src)
	for range maxPasses {
		again := hclwrite.Format(out)
		if string(again) == string(out) {
			break
		}
		out = again
	}
	return out, nil
}

// maxPasses bounds how often a file is formatted until it no longer changes: HCL's formatter aligns
// by what it sees, and what it sees may move when it aligns.
const maxPasses = 4
