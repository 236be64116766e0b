package release

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/salveops/salve/pkg/require"
)

func TestCurrent(t *testing.T) {
	s := newShop(t)
	s.deploy("1")
	for _, text := range []string{"releases/1", s.args.Releases + "/1", "../" + filepath.Base(s.root) + "/releases/./1"} {
		s.link(text)
		if got := s.current(""); got.Text != text || got.Folder != s.args.Releases+"/1" || got.Identity == "" || got.Age < 0 {
			t.Errorf("%s: %+v", text, got)
		}
	}
	s.must(os.MkdirAll(filepath.Join(s.args.Releases, "2/app"), 0o755))
	s.link("releases/2/app")
	s.current("")
}

// current is where the link leads; a refusal must contain text.
func (s *shop) current(text string) Link {
	s.t.Helper()
	if _, err := (link{s.args}).Look(); text != "" {
		refused(s.t, err, text)
		return Link{}
	}
	p, err := Open(s.args.Link, s.args.Releases)
	s.must(err)
	defer p.Close()
	now, err := p.Current()
	s.must(err)
	return now
}

// Nothing is a release that does not lie among them, or that others could have put there.
func TestNoRelease(t *testing.T) {
	s := newShop(t)
	s.deploy("1")
	one := filepath.Join(s.args.Releases, "1")
	s.must(os.Mkdir(filepath.Join(s.root, "elsewhere"), 0o755))
	s.must(os.Symlink("1", filepath.Join(s.args.Releases, "link")))
	s.must(os.WriteFile(filepath.Join(s.args.Releases, "file"), nil, 0o644))
	for text, want := range map[string]string{
		"elsewhere":       "does not lie in",
		"releases":        "does not lie in",
		"releases/../1":   "does not lie in",
		"releases/link":   "is a symbolic link",
		"releases/link/.": "is a symbolic link",
		"releases/file":   "not a directory",
		"releases/none":   "no such file",
	} {
		s.link(text)
		s.current(want)
	}
	s.link("releases/1")
	s.must(os.Chmod(one, 0o757))
	s.current("can be changed by everybody")
	s.must(os.Chmod(one, 0o755))
	s.must(os.Symlink("releases", filepath.Join(s.root, "way")))
	s.args.Releases = filepath.Join(s.root, "way")
	s.current("is a symbolic link")
	s.args.Releases = filepath.Join(s.root, "releases")
	s.must(os.Remove(s.args.Link))
	s.current("no such file")
	s.must(os.WriteFile(s.args.Link, nil, 0o644))
	s.current("is no symbolic link")
}

func TestForeignOwner(t *testing.T) {
	require.Root(t, "nobody else can give a folder away")
	s := newShop(t)
	s.deploy("1")
	one := filepath.Join(s.args.Releases, "1")
	s.must(os.Chown(one, 12345, 0))
	s.current("belongs to user 12345")
	s.must(os.Chown(s.args.Releases, 12345, 0))
	s.current("")
	s.must(os.Chown(one, 0, 0))
	s.current("")
}
