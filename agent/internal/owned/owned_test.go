package owned

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/salveops/salve/pkg/require"
)

// TestWay: a configuration that others could change is no configuration for root.
func TestWay(t *testing.T) {
	top := t.TempDir()
	for name, c := range map[string]struct {
		make func(dir string) string // makes files and returns the one to check
		want string                  // part of the error, "" for none
	}{
		"plain file": {func(d string) string { return put(t, d, "a.hcl", 0o644) }, ""},
		"file for all": {func(d string) string { return put(t, d, "a.hcl", 0o646) },
			"can be changed by others"},
		"folder for all": {func(d string) string {
			sub := folder(t, d, "sub", 0o777)
			return put(t, sub, "a.hcl", 0o644)
		}, "can be changed by others"},
		"sticky folder": {func(d string) string {
			sub := folder(t, d, "sub", 0o777)
			must(t, os.Chmod(sub, 0o777|os.ModeSticky))
			return put(t, sub, "a.hcl", 0o644)
		}, ""},
		"link to a good file": {func(d string) string {
			return link(t, "../"+filepath.Base(d)+"/b.hcl", filepath.Join(d, "a.hcl"), put(t, d, "b.hcl", 0o644))
		}, ""},
		"link to a file for all": {func(d string) string {
			return link(t, "b.hcl", filepath.Join(d, "a.hcl"), put(t, d, "b.hcl", 0o666))
		}, "b.hcl can be changed by others"},
		"link through a folder for all": {func(d string) string {
			sub := folder(t, d, "sub", 0o777)
			good := put(t, d, "c.hcl", 0o644)
			link(t, good, filepath.Join(sub, "b.hcl"))
			return link(t, "sub/b.hcl", filepath.Join(d, "a.hcl"))
		}, "sub can be changed by others"},
		"way back through a folder for all": {func(d string) string {
			folder(t, d, "sub", 0o777)
			put(t, d, "c.hcl", 0o644)
			return link(t, "sub/../c.hcl", filepath.Join(d, "a.hcl"))
		}, "sub can be changed by others"},
		"circle": {func(d string) string {
			return link(t, "a.hcl", filepath.Join(d, "a.hcl"))
		}, "too many symbolic links"},
		"missing":  {func(d string) string { return filepath.Join(d, "none") }, "no such file"},
		"relative": {func(string) string { return "a.hcl" }, "no absolute path"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Way(c.make(folder(t, top, strings.ReplaceAll(name, " ", "-"), 0o755)))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestForeignOwner: only root can give files away, so only root can try this.
func TestForeignOwner(t *testing.T) {
	require.Root(t, "nobody else can give a file away")
	file := put(t, t.TempDir(), "a.hcl", 0o644)
	must(t, os.Chown(file, 12345, 0))
	if err := Way(file); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
		t.Errorf("a file of somebody else: %v", err)
	}
}

func put(t *testing.T, dir, name string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(dir, name)
	must(t, os.WriteFile(file, nil, mode))
	must(t, os.Chmod(file, mode))
	return file
}

func folder(t *testing.T, dir, name string, mode os.FileMode) string {
	t.Helper()
	sub := filepath.Join(dir, name)
	must(t, os.Mkdir(sub, mode))
	must(t, os.Chmod(sub, mode))
	return sub
}

// link makes a link; the files after it only have to be made before.
func link(t *testing.T, target, name string, _ ...string) string {
	t.Helper()
	must(t, os.Symlink(target, name))
	return name
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
