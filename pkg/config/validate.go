package config

import (
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// The files by which a folder is known as a whole configuration.
const (
	agentFile      = "agent.hcl"
	controllerFile = "controller.hcl"
)

// Validate checks what each path names, and returns everything that was found:
//
//   - a folder with an agent.hcl or a controller.hcl, or both, or such a file itself, is a whole configuration;
//   - any other folder or file is rules without their agent.hcl, checked as far as they go: allow
//     blocks, labels, notifiers and escalations are taken to be right.
//
// Tests are checked as well, and not run.
func Validate(o LoadOptions, paths ...string) hcl.Diagnostics {
	var all hcl.Diagnostics
	o.Tests = true
	for _, path := range paths {
		all = append(all, validate(path, o)...)
	}
	return all
}

func validate(path string, o LoadOptions) hcl.Diagnostics {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return validateFolder(path, o)
	}
	l := newLoader(o)
	file := l.sources.read(path, l)
	if file == nil {
		_, diags := l.finish()
		return diags
	}
	switch base := filepath.Base(path); {
	case base == controllerFile, base != agentFile && says(file, inController, ofController()):
		_, diags := LoadController(path, o)
		return diags
	case base == agentFile, says(file, elsewhere, l.kinds["rules"].refuse):
		_, diags := LoadAgent(path, o)
		return diags
	}
	return loadRules(path, false, o)
}

func validateFolder(path string, o LoadOptions) (all hcl.Diagnostics) {
	whole := false
	if name := filepath.Join(path, agentFile); exists(name) {
		_, diags := LoadAgent(name, o)
		all, whole = append(all, diags...), true
	}
	if name := filepath.Join(path, controllerFile); exists(name) {
		_, diags := LoadController(name, o)
		all, whole = append(all, diags...), true
	}
	if !whole {
		return loadRules(path, true, o)
	}
	return all
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// says reports whether a file holds a name that the others refuse for that reason: then it is the file that may.
func says(file *hcl.File, why string, refused []refusal) bool {
	schema := &hcl.BodySchema{}
	for _, r := range refused {
		switch {
		case r.why != why:
		case r.block:
			schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: r.name, LabelNames: r.labels})
		default:
			schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: r.name})
		}
	}
	content, _, _ := file.Body.PartialContent(schema)
	return content != nil && len(content.Attributes)+len(content.Blocks) > 0
}

// LoadTests reads the tests of rules, with the rules: of a folder with an agent.hcl, or of such a file, as it is; of
// any other folder or file without what is agent.hcl's. With errors among the diagnostics the Agent is nil.
func LoadTests(path string, o LoadOptions) (*Agent, hcl.Diagnostics) {
	o.Tests, o.Offline = true, true
	info, err := os.Stat(path)
	folder := err == nil && info.IsDir()
	switch whole := filepath.Join(path, agentFile); {
	case folder && exists(whole):
		return LoadAgent(whole, o)
	case filepath.Base(path) == agentFile:
		return LoadAgent(path, o)
	}
	return readRules(path, folder, o)
}

// loadRules checks rules without their agent.hcl.
func loadRules(path string, folder bool, o LoadOptions) hcl.Diagnostics {
	_, diags := readRules(path, folder, o)
	return diags
}

func readRules(path string, folder bool, o LoadOptions) (*Agent, hcl.Diagnostics) {
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
	l.decodeBundles()
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
