package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/lookup"
	"github.com/salveops/salve/pkg/glob"
)

// Glance is what a look at the names shows, without reading a file.
type Glance struct {
	print string // no other content has it
	// Changed is when one of the files was last changed, put in place or removed, or a little later: nanoseconds by the clock of
	// the file system.
	Changed int64
}

// Same reports whether nothing has changed in between.
func (g Glance) Same(o Glance) bool { return g.print == o.print }

// Glance looks at the files of the set.
func (s Set) Glance() (Glance, error) {
	w, err := s.open()
	if err != nil {
		return Glance{}, err
	}
	defer w.close()
	return w.glance()
}

// walk goes through a set of files. The folder is held open, and all names are looked up in it.
type walk struct {
	Set
	dir     int
	mount   lookup.Mount
	uid     uint32 // of the folder
	read    int    // entries so far
	found   map[string]unix.Stat_t
	changed int64
}

func (s Set) open() (*walk, error) {
	fd, err := lookup.Root(s.Path, unix.O_RDONLY)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("a part of %s is a symbolic link; name the folder itself", s.Path)
	case err != nil:
		return nil, fmt.Errorf("%s cannot be opened: %w", s.Path, err)
	}
	w := &walk{Set: s, dir: fd}
	var st unix.Stat_t
	w.mount, err = lookup.Of(fd)
	if err = errors.Join(err, unix.Fstat(fd, &st)); err != nil {
		w.close()
		return nil, fmt.Errorf("%s: %w", s.Path, err)
	}
	w.uid = st.Uid
	return w, nil
}

func (w *walk) close() { _ = unix.Close(w.dir) }

// glance finds the files anew.
func (w *walk) glance() (Glance, error) {
	w.found, w.read, w.changed = map[string]unix.Stat_t{}, 0, 0
	for _, g := range w.Globs {
		if err := w.match(".", strings.Split(g, "/")); err != nil {
			return Glance{}, err
		}
	}
	var b strings.Builder
	for _, name := range w.names() {
		st := w.found[name]
		fmt.Fprintf(&b, "%q %x %x %x %x %x %x %x\n", name, st.Dev, st.Ino, st.Mode, st.Size, st.Ctim.Nano(), st.Uid, st.Gid)
	}
	return Glance{b.String(), w.changed}, nil
}

func (w *walk) names() []string {
	var names []string
	for name := range w.found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// match follows one glob, segment by segment. What lies below a link is not there.
func (w *walk) match(at string, segments []string) error {
	fd, err := lookup.Folder(w.dir, at, unix.O_RDONLY, w.mount)
	switch {
	case errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) && at != ".":
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", path.Join(w.Path, at), err)
	}
	sub := os.NewFile(uintptr(fd), path.Join(w.Path, at))
	defer sub.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("%s: %w", path.Join(w.Path, at), err)
	}
	if st.Mode&0o002 != 0 && st.Mode&unix.S_ISVTX == 0 {
		return fmt.Errorf("files in %s can be replaced by everybody (mode %04o)", path.Join(w.Path, at), st.Mode&0o7777)
	}
	there := false
	err = lookup.Names(sub, func(name string) error {
		if w.read++; w.read > maxEntries {
			return fmt.Errorf("%s has more than %d entries where the globs lead", w.Path, maxEntries)
		}
		if !fits(segments[0], name) {
			return nil
		}
		there = true
		if len(segments) > 1 {
			return w.match(path.Join(at, name), segments[1:])
		}
		return w.file(fd, path.Join(at, name))
	})
	if err != nil {
		return err
	}
	if glob.Is(segments[0]) || !there { // one that was removed shows in its folder alone
		w.changed = max(w.changed, st.Ctim.Nano())
	}
	return nil
}

// file takes up one that a glob names. One that could not be put back as it is makes the whole set unfit.
func (w *walk) file(dir int, name string) error {
	var st unix.Stat_t
	err := unix.Fstatat(dir, path.Base(name), &st, unix.AT_SYMLINK_NOFOLLOW)
	at := path.Join(w.Path, name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", at, err)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return nil
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%s is no regular file", at)
	case st.Nlink != 1:
		return fmt.Errorf("%s has another name (a hard link)", at)
	case st.Uid != 0 && st.Uid != w.uid:
		return fmt.Errorf("%s belongs to user %d, and neither to root nor to whom %s belongs", at, st.Uid, w.Path)
	case st.Mode&0o6002 != 0:
		return fmt.Errorf("%s can be changed by everybody, or runs as somebody else (mode %04o)", at, st.Mode&0o7777)
	case st.Size > MaxFile:
		return fmt.Errorf("%s has more than %d bytes", at, MaxFile)
	}
	w.found[name] = st
	w.changed = max(w.changed, st.Ctim.Nano())
	if len(w.found) > MaxFiles {
		return fmt.Errorf("in %s there are more than %d files that the globs name", w.Path, MaxFiles)
	}
	return nil
}
