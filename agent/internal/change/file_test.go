package change

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/systemd"
)

// write makes a file below a folder, and the folders above it.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// replace puts another file in the place of one, as deployments do.
func replace(t *testing.T, path, text string) {
	t.Helper()
	next := write(t, filepath.Dir(path), filepath.Base(path)+".new", text)
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// lead makes a link lead to a target, in one step.
func lead(t *testing.T, link, target string) {
	t.Helper()
	if err := os.Symlink(target, link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
}

func TestTrail(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := write(t, dir, "releases/1/bin/app", "one")
	in := func(names ...string) (out []string) {
		for _, n := range names {
			out = append(out, filepath.Join(dir, n))
		}
		return out
	}
	lead(t, filepath.Join(dir, "current"), "releases/1")
	lead(t, filepath.Join(dir, "app"), filepath.Join(dir, "current/bin/../bin/app"))
	lead(t, filepath.Join(dir, "gone"), "releases/2/bin")
	lead(t, filepath.Join(dir, "loop"), "loop")
	for _, c := range []struct {
		path, final string
		dirs        []string
	}{
		{program, program, in("releases/1/bin")},
		{filepath.Join(dir, "current"), filepath.Join(dir, "releases/1"), in("", "releases")},
		{filepath.Join(dir, "app"), program, in("", "", "releases/1/bin")},
		{filepath.Join(dir, "gone"), filepath.Join(dir, "releases/2/bin"), in("", "releases", "releases/2")},
	} {
		dirs, final, err := trail(c.path)
		if err != nil || final != c.final || !slices.Equal(dirs, c.dirs) {
			t.Errorf("%s: %q leads to %s, %v; want %q to %s", c.path, dirs, final, err, c.dirs, c.final)
		}
	}
	if _, _, err := trail(filepath.Join(dir, "loop")); err == nil || !strings.Contains(err.Error(), "too many links") {
		t.Errorf("a loop: %v", err)
	}
}

func TestUnitFiles(t *testing.T) {
	dir := t.TempDir()
	u := systemd.Unit{Name: "a.service", FragmentPath: write(t, dir, "a.service", "[Service]\n"), DropInPaths: []string{
		write(t, dir, "a.service.d/one.conf", "[Service]\n"),
		write(t, dir, "systemd/system.control/a.service.d/50-CPUQuota.conf", "[Service]\n"),
	}}
	before := unitFiles(u)
	if len(before) != 2 {
		t.Fatalf("looked at %v", before)
	}
	check := func(name, want string) {
		t.Helper()
		now := unitFiles(u)
		if got := strings.ReplaceAll(filesChanged(before, now), dir+"/", ""); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		before = now
	}
	if err := os.Chtimes(u.FragmentPath, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	check("touched", "")
	replace(t, u.FragmentPath, "[Service]\n")
	check("written again", "")
	write(t, dir, "systemd/system.control/a.service.d/50-CPUQuota.conf", "[Service]\nCPUQuota=20%\n")
	check("a property set", "")
	write(t, dir, "a.service", "[Service]\nNice=5\n")
	check("changed", "a.service has another content")
	u.DropInPaths = []string{write(t, dir, "a.service.d/two.conf", "")}
	check("another drop-in", "a.service.d/two.conf is new, a.service.d/one.conf is gone")
	read, unread := map[string]string{"a": "1"}, map[string]string{"a": ""}
	if filesChanged(read, unread) != "" || filesChanged(unread, read) != "" {
		t.Error("a file that cannot be read has changed")
	}
}
