package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/pkg/require"
)

// place is a folder with a.conf and sub/b.conf in it, and the agent's own.
type place struct {
	t         *testing.T
	Set       Set
	own, root string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	root := t.TempDir()
	p := &place{t, Set{root, []string{"*.conf", "sub/*"}}, t.TempDir(), root}
	p.must(os.Mkdir(filepath.Join(root, "sub"), 0o755))
	p.write("a.conf", "a")
	p.write("sub/b.conf", "secret")
	p.must(os.Chmod(filepath.Join(root, "sub/b.conf"), 0o600))
	return p
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) at(name string) string { return filepath.Join(p.root, name) }

func (p *place) write(name, text string) {
	p.t.Helper()
	p.must(os.WriteFile(p.at(name), []byte(text), 0o644))
}

func (p *place) take() *Manifest {
	p.t.Helper()
	m, err := p.Set.Take()
	p.must(err)
	return m
}

func (p *place) store() *Store {
	p.t.Helper()
	s, err := Create(p.own, "shop")
	p.must(err)
	p.t.Cleanup(s.Close)
	return s
}

// What a set of files is shows in its manifest, and nothing else does.
func TestTake(t *testing.T) {
	p := newPlace(t)
	m := p.take()
	if len(m.Files) != 2 || m.Files[0].Name != "a.conf" || m.Files[0].Mode != 0o644 || m.Files[0].Size != 1 ||
		m.Files[1].Name != "sub/b.conf" || m.Files[1].Mode != 0o600 || m.File("sub/b.conf").Size != 6 || m.File("c") != nil {
		t.Errorf("%+v", m)
	}
	id := m.ID()
	for _, name := range []string{"other", ".hidden.conf", "sub/.b.conf.salve", ".a.conf.salve"} {
		p.write(name, "x")
	}
	p.must(os.Mkdir(p.at("folder.conf"), 0o755))
	p.must(os.Chtimes(p.at("a.conf"), time.Unix(1, 0), time.Unix(1, 0)))
	if again := p.take(); again.ID() != id {
		t.Errorf("what is none of the files counts: %+v", again)
	}
	p.Set.Globs = []string{".*"}
	if m := p.take(); len(m.Files) != 1 || m.Files[0].Name != ".hidden.conf" {
		t.Errorf("with a dot in front: %+v", m)
	}
	p.Set.Globs = []string{"*.conf", "sub/*"}
	for what, change := range map[string]func() error{
		"content": func() error { return os.WriteFile(p.at("a.conf"), []byte("b"), 0o644) },
		"mode":    func() error { return os.Chmod(p.at("a.conf"), 0o640) },
		"more":    func() error { return os.WriteFile(p.at("c.conf"), nil, 0o644) },
		"less":    func() error { return os.Remove(p.at("sub/b.conf")) },
	} {
		before, err := p.Set.Glance()
		p.must(err)
		id := p.take().ID()
		p.must(change())
		after, err := p.Set.Glance()
		p.must(err)
		if p.take().ID() == id || before.Same(after) {
			t.Errorf("a change of its %s does not show", what)
		}
	}
}

// When something was removed shows, though nothing is there any more; what is none of the files does not.
func TestChanged(t *testing.T) {
	p := newPlace(t)
	p.Set.Globs = []string{"a.conf", "gone.conf"}
	changed := func() int64 {
		t.Helper()
		g, err := p.Set.Glance()
		p.must(err)
		return g.Changed
	}
	of := func(at string) int64 {
		t.Helper()
		var st unix.Stat_t
		p.must(unix.Stat(at, &st))
		return st.Ctim.Nano()
	}
	for first := of(p.at("a.conf")); of(p.root) <= first; { // until the clock of the file system has moved on
		p.write("gone.conf", "")
		p.must(os.Remove(p.at("gone.conf")))
	}
	if got, want := changed(), of(p.root); got != want {
		t.Errorf("a file that was removed: %d, want %d", got, want)
	}
	p.Set.Globs = []string{"a.conf"}
	if got, want := changed(), of(p.at("a.conf")); got != want {
		t.Errorf("a file that is none of them counts: %d, want %d", got, want)
	}
}

func TestAttributes(t *testing.T) {
	p := newPlace(t)
	err := unix.Setxattr(p.at("a.conf"), "user.note", []byte("x"), 0)
	require.That(t, "extended attributes of users", err == nil, fmt.Sprint(err))
	if f := p.take().File("a.conf"); string(f.Xattrs["user.note"]) != "x" {
		t.Errorf("%+v", f)
	}
	m := p.take()
	other := p.take()
	other.Files[0].Xattrs["user.note"] = []byte("y")
	if m.Files[0].Equal(other.Files[0]) || m.ID() == other.ID() {
		t.Error("another value is the same file")
	}
}

// What could not be put back as it is, or could be somebody else's doing, makes the set unfit.
func TestUnfit(t *testing.T) {
	for name, c := range map[string]struct {
		make func(p *place) error
		text string
	}{
		"link":      {func(p *place) error { return os.Symlink("a.conf", p.at("l.conf")) }, "no regular file"},
		"hard link": {func(p *place) error { return os.Link(p.at("a.conf"), p.at("l")) }, "another name"},
		"pipe":      {func(p *place) error { return unix.Mkfifo(p.at("p.conf"), 0o644) }, "no regular file"},
		"everybody": {func(p *place) error { return os.Chmod(p.at("a.conf"), 0o646) }, "changed by everybody"},
		"setuid":    {func(p *place) error { return unix.Chmod(p.at("a.conf"), 0o4755) }, "runs as somebody else"},
		"folder":    {func(p *place) error { return os.Chmod(p.at("sub"), 0o777) }, "replaced by everybody"},
		"big":       {func(p *place) error { return os.Truncate(p.at("a.conf"), MaxFile+1) }, "has more than"},
		"gone":      {func(p *place) error { return os.RemoveAll(p.root) }, "no such file"},
		"way":       {func(p *place) error { p.Set.Path = p.at("way"); return os.Symlink("sub", p.at("way")) }, "symbolic link"},
		"many": {func(p *place) error {
			var err error
			for i := range MaxFiles {
				err = errors.Join(err, os.WriteFile(p.at(fmt.Sprint("sub/", i)), nil, 0o644))
			}
			return err
		}, "more than 64 files"},
		"much": {func(p *place) error {
			var err error
			for i := range MaxAll/MaxFile + 1 {
				f := p.at(fmt.Sprint("sub/", i))
				err = errors.Join(err, os.WriteFile(f, nil, 0o644), os.Truncate(f, MaxFile))
			}
			return err
		}, "bytes in all"},
	} {
		p := newPlace(t)
		p.must(c.make(p))
		if _, err := p.Set.Take(); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := newPlace(t) // nor is what lies below a link
	p.must(os.Rename(p.at("sub"), p.at("real")))
	p.must(os.Symlink("real", p.at("sub")))
	if m := p.take(); len(m.Files) != 1 {
		t.Errorf("below a link: %+v", m)
	}
	require.Root(t, "nobody else can give a file away")
	p = newPlace(t)
	p.must(os.Chown(p.at("a.conf"), 12345, 0))
	if _, err := p.Set.Take(); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
		t.Errorf("of another: %v", err)
	}
}

// A file that changes while it is read is no state of the files.
func TestChangesMeanwhile(t *testing.T) {
	p := newPlace(t)
	_, err := p.Set.take(func(r io.Reader) (string, int64, error) {
		p.must(os.Chmod(p.at("a.conf"), 0o600))
		return digest(nil), 0, nil
	})
	if err == nil || !strings.Contains(err.Error(), "are being changed") {
		t.Errorf("error %v", err)
	}
}

// What is kept is what was there, nobody else can read it, and what was damaged is not taken for it.
func TestStore(t *testing.T) {
	p := newPlace(t)
	if _, err := Open(p.own, "shop"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before anything is kept: %v", err)
	}
	s := p.store()
	m, err := s.Save(p.Set)
	p.must(err)
	if m.ID() != p.take().ID() {
		t.Error("other files were kept")
	}
	p.write("a.conf", "new")
	again, err := s.Load(m.ID())
	p.must(err)
	p.must(s.Verify(again))
	var b strings.Builder
	p.must(s.Copy(&b, *again.File("sub/b.conf")))
	if b.String() != "secret" || again.ID() != m.ID() {
		t.Errorf("%q, %+v", b.String(), again)
	}
	p.must(filepath.WalkDir(filepath.Join(p.own, below), func(_ string, d fs.DirEntry, _ error) error {
		if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, %v", d.Name(), info.Mode(), err)
		}
		return nil
	}))
	kept := filepath.Join(p.own, of("shop"))
	content := filepath.Join(kept, again.File("sub/b.conf").Digest+ofContent)
	p.must(os.WriteFile(content, []byte("Secret"), 0o600))
	if err := s.Verify(again); err == nil || !strings.Contains(err.Error(), "is not what it was") {
		t.Errorf("a damaged content: %v", err)
	}
	p.must(os.Remove(content))
	if err := s.Verify(again); err == nil || !strings.Contains(err.Error(), "was not kept") {
		t.Errorf("a content that is gone: %v", err)
	}
	p.must(os.WriteFile(filepath.Join(kept, m.ID()+ofManifest), p.take().Text(), 0o600))
	if _, err := s.Load(m.ID()); err == nil || !strings.Contains(err.Error(), "is not what was kept") {
		t.Errorf("another manifest: %v", err)
	}
	for _, id := range []string{"", "../x", strings.Repeat("0", 64)} {
		if _, err := s.Load(id); err == nil {
			t.Errorf("there is a snapshot %q", id)
		}
	}
}

// What is needed stays, with its contents, and the youngest others; all else goes.
func TestPrune(t *testing.T) {
	p := newPlace(t)
	s := p.store()
	var ids []string
	for i := range 6 {
		p.write("a.conf", fmt.Sprint(i))
		m, err := s.Save(p.Set)
		p.must(err)
		ids = append(ids, m.ID())
		at := time.Unix(int64(1e9+i), 0)
		p.must(os.Chtimes(filepath.Join(p.own, of("shop"), m.ID()+ofManifest), at, at))
	}
	left := filepath.Join(p.own, of("shop"), unfinished)
	p.must(os.WriteFile(left, nil, 0o600))
	p.must(s.Prune(ids[:1]))
	for i, id := range ids {
		m, err := s.Load(id)
		if stays := i == 0 || i > 2; (err == nil) != stays {
			t.Errorf("snapshot %d: %v", i, err)
		} else if stays {
			p.must(s.Verify(m))
		}
	}
	all, err := os.ReadDir(filepath.Join(p.own, of("shop")))
	if err != nil || len(all) != 4+4+1 { // manifests, contents of a.conf, that of b.conf
		t.Errorf("%d files are left, %v", len(all), err)
	}
	p.must(Drop(p.own, "shop"))
	if _, err := Open(p.own, "shop"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("dropped: %v", err)
	}
}

// FuzzParse: whatever is in a manifest, it names nothing beside what its globs name below its folder, and is written one way.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{"path":"/a","globs":["*"],"files":[]}`,
		`{"path":"/a","globs":["*"],"files":[{"name":"../b","mode":420,"uid":0,"gid":0,"size":0,"sha256":"` + digest(nil) + `"}]}`,
		`{"path":"/a","globs":["*"],"files":[{"name":"b","mode":420,"uid":0,"gid":0,"xattrs":{"user.x":"eA=="},"size":0,"sha256":"` +
			digest(nil) + `"}]}`,
		`{"path":"a","globs":null,"files":null}`, `{"path":"/a","path":"/b","globs":["*"],"files":[]}`, "{}", "[", "",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if !filepath.IsLocal(file.Name) || isStage(filepath.Base(file.Name)) || file.Mode&0o6000 != 0 || file.Size > MaxFile {
				t.Errorf("it has %+v", file)
			}
		}
		if !slices.Equal(m.Text(), text) {
			t.Errorf("%s is read as %s", text, m.Text())
		}
	})
}
