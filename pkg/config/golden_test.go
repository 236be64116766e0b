package config

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the expected part of the golden cases")

const divider = "----\n"

// TestGolden runs the cases in testdata/load. A case is one file: the input, a line of four dashes,
// and what comes out: the diagnostics, one a line, and the specification if there are no errors.
//
// The input is agent.hcl, or several files behind "-- NAME --" lines; a controller.hcl among them is loaded when there
// is no agent.hcl. $DIR stands for the folder in which they are laid out. Comments before the first of them prepare
// what a file cannot say:
//
//	#env NAME=VALUE     the environment
//	#mode NAME 0755     permissions
//	#link NAME TARGET   a symbolic link
//	#offline            LoadOptions.Offline
//	#validate NAME…     Validate these instead of LoadAgent agent.hcl
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/load/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			golden(t, file)
		})
	}
}

func golden(t *testing.T, file string) {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	input, want, found := strings.Cut(string(src), divider)
	if !found && !*update {
		t.Fatal("no line of four dashes")
	}
	got := outcome(t, input)
	if *update {
		if err := os.WriteFile(file, []byte(input+divider+got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// scene is a laid-out case.
type scene struct {
	dir      string
	opts     LoadOptions
	validate []string
}

func outcome(t *testing.T, input string) string {
	t.Helper()
	s := layOut(t, input)
	spec, diags := s.load(t)
	var b strings.Builder
	for _, d := range diags {
		fmt.Fprintln(&b, Line(d))
	}
	if spec != nil {
		b.WriteString(dump(spec))
	}
	return strings.ReplaceAll(strings.ReplaceAll(b.String(), s.dir+"/", ""), s.dir, "$DIR")
}

// load hands out an *Agent, a *ControllerFile, or nil.
func (s scene) load(t *testing.T) (any, hcl.Diagnostics) {
	t.Helper()
	if len(s.validate) > 0 {
		return nil, Validate(s.opts, s.validate...)
	}
	if path := filepath.Join(s.dir, controllerFile); exists(path) && !exists(filepath.Join(s.dir, agentFile)) {
		c, diags := LoadController(path, s.opts)
		if c == nil {
			return whole(t, nil, "", nil, diags)
		}
		return whole(t, c, c.Digest, c.Files, diags)
	}
	a, diags := LoadAgent(filepath.Join(s.dir, agentFile), s.opts)
	if a == nil {
		return whole(t, nil, "", nil, diags)
	}
	return whole(t, a, a.Digest, a.Files, diags)
}

// whole checks that what was loaded has all of it, or errors.
func whole(t *testing.T, spec any, digest string, files []string, diags hcl.Diagnostics) (any, hcl.Diagnostics) {
	t.Helper()
	if spec != nil && (diags.HasErrors() || digest == "" || len(files) == 0) {
		t.Errorf("loaded with errors, or without digest or files: %v", diags)
	}
	if spec == nil && !diags.HasErrors() {
		t.Error("neither a specification nor errors")
	}
	return spec, diags
}

func layOut(t *testing.T, input string) scene {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	s := scene{dir: dir, opts: LoadOptions{Host: "host-1", Tests: true, Getenv: func(k string) string { return env[k] }}}
	archive := txtar.Parse([]byte(strings.ReplaceAll(input, "$DIR", dir)))
	prologue := string(archive.Comment)
	if len(archive.Files) == 0 {
		archive.Files = []txtar.File{{Name: "agent.hcl", Data: archive.Comment}}
	}
	for _, f := range archive.Files {
		write(t, filepath.Join(dir, f.Name), f.Data)
	}
	plainFolders(t, dir)
	for line := range strings.Lines(prologue) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "#env":
			k, v, _ := strings.Cut(words[1], "=")
			env[k] = v
		case "#mode":
			mode, err := strconv.ParseUint(words[2], 8, 32)
			if err == nil {
				err = os.Chmod(filepath.Join(dir, words[1]), os.FileMode(mode))
			}
			check(t, err)
		case "#link":
			check(t, os.Symlink(words[2], filepath.Join(dir, words[1])))
		case "#offline":
			s.opts.Offline = true
		case "#validate":
			for _, name := range words[1:] {
				s.validate = append(s.validate, filepath.Join(dir, name))
			}
		}
	}
	return s
}

// plainFolders makes the scene the same whatever the umask of who runs the test.
func plainFolders(t *testing.T, dir string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		return err
	}))
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, data, 0o644))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
