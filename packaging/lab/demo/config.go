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
//go:embed config fleet golden toolbox
var shipped embed.FS

var placeholder = regexp.MustCompile(`@[A-Z]+@`)

// writeConfig copies the configuration of the single host to dir. Where no quota can be had, the neighbour's rules
// are the ones with stop.
func writeConfig(dir string, values map[string]string, quota bool) error {
	return ship("config", dir, values, func(name string) string {
		switch {
		case name == neighbourStop && quota, name == neighbourQuota && !quota:
			return ""
		case name == neighbourStop:
			return neighbourQuota
		}
		return name
	})
}

// ship copies what is shipped in the folder from to dir, under the names that rename gives it, "" being none. values
// fill the placeholders; a placeholder without a value is an error.
func ship(from, dir string, values map[string]string, rename func(string) string) error {
	root, err := fs.Sub(shipped, from)
	if err != nil {
		return err
	}
	return fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || rename(name) == "" {
			return err
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
		path := filepath.Join(dir, rename(name))
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
