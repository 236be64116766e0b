package main

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// shipped is the demo's configuration as people read it; names between @ signs are filled in.
//
//go:embed config
var shipped embed.FS

var placeholder = regexp.MustCompile(`@[A-Z]+@`)

// writeConfig copies the shipped configuration to dir. values fill the placeholders; a placeholder
// without a value is an error. Where no quota can be had, the neighbour's rules are the ones with stop.
func writeConfig(dir string, values map[string]string, quota bool) error {
	root, err := fs.Sub(shipped, "config")
	if err != nil {
		return err
	}
	return fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		to := name
		switch {
		case name == neighbourStop && quota, name == neighbourQuota && !quota:
			return nil
		case name == neighbourStop:
			to = neighbourQuota
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		text, err := fill(string(src), values)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		mode := fs.FileMode(0o600)
		if strings.HasPrefix(name, "hooks/") {
			mode = 0o755
		}
		path := filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(text), mode)
	})
}

const (
	neighbourQuota = "rules.d/5-neighbour.hcl"
	neighbourStop  = "5-neighbour-stop.hcl"
)

// fill replaces every placeholder.
func fill(text string, values map[string]string) (string, error) {
	var missing error
	out := placeholder.ReplaceAllStringFunc(text, func(at string) string {
		v, ok := values[strings.Trim(at, "@")]
		if !ok {
			missing = fmt.Errorf("no value for %s", at)
		}
		return v
	})
	return out, missing
}
