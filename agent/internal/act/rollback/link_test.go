package rollback_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/rollback"
)

// What somebody makes of the link between the look at it and the change stays, also what comes while it is put back.
func TestFasterThanTheFlip(t *testing.T) {
	t.Parallel()
	link := func(text string) func(string) error {
		return func(base string) error {
			return errors.Join(os.Symlink(text, base+"x"), os.Rename(base+"x", base))
		}
	}
	file := func(base string) error { return errors.Join(os.Remove(base), os.WriteFile(base, nil, 0o644)) }
	folder := func(base string) error { return errors.Join(os.Remove(base), os.Mkdir(base, 0o755)) }
	nothing := func(string) error { return nil }
	for name, c := range map[string]struct {
		before []func(string) error // each call, by somebody else
		cannot bool
		done   bool
		want   string // what the link says; "": it is none
	}{
		"nobody":            {nil, false, true, "to"},
		"the same":          {[]func(string) error{link("from")}, false, true, "to"},
		"another":           {[]func(string) error{link("a")}, false, false, "a"},
		"another two":       {[]func(string) error{link("a"), link("b")}, false, false, "b"},
		"another three":     {[]func(string) error{link("a"), link("b"), link("c")}, false, false, "c"},
		"the first again":   {[]func(string) error{link("a"), link("from")}, false, false, "from"},
		"a later one":       {[]func(string) error{nothing, link("a")}, false, true, "to"},
		"a file":            {[]func(string) error{file}, false, false, ""},
		"a folder":          {[]func(string) error{folder}, false, false, ""},
		"it cannot be done": {nil, true, true, "to"},
		"gone":              {[]func(string) error{os.Remove}, false, false, "-"},
	} {
		dir := t.TempDir()
		base := filepath.Join(dir, "base")
		if err := errors.Join(os.Symlink("from", base), os.Symlink("to", filepath.Join(dir, "next"))); err != nil {
			t.Fatal(err)
		}
		fd, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		done, err := rollback.Exchange(int(fd.Fd()), func(a int, old string, b int, new string, flags uint) error {
			if calls++; calls <= len(c.before) {
				if err := c.before[calls-1](base); err != nil {
					t.Fatal(err)
				}
			}
			if c.cannot {
				return unix.EINVAL
			}
			return unix.Renameat2(a, old, b, new, flags)
		}, "from", "to")
		if done != c.done || (err == nil) != c.done {
			t.Errorf("%s: %v, %v", name, done, err)
		}
		switch text, err := os.Readlink(base); {
		case c.want == "-" && !errors.Is(err, os.ErrNotExist), c.want == "" && !errors.Is(err, unix.EINVAL),
			len(c.want) > 0 && c.want != "-" && text != c.want:
			t.Errorf("%s: the link says %q, %v", name, text, err)
		}
		fd.Close()
	}
}
