package freespace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/kind"
)

// Bounds of one run.
const (
	maxFiles   = 200    // that may go
	maxEntries = 100000 // of folders that are read
)

// file is one regular file below the folder, as it was when it was listed.
type file struct {
	Name  string    `json:"name"` // below the folder
	Size  uint64    `json:"size"` // that it takes on disk
	Inode uint64    `json:"inode"`
	Time  time.Time `json:"time"` // when it was last written to
}

// folder is an open folder below which every name is looked up without following a link or crossing a mount.
type folder struct {
	path string
	own  string // the agent's folder, of which nothing is a candidate; "": it has none
	fd   int
	dev  uint64
}

// beneath is how every name is looked up: neither the folder nor what lies below it is reached by a symbolic link, and what is
// below lies on the same mount.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// open opens the folder that a remedy names, whose own way must be free of links, too.
func open(at string) (*folder, error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, at, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	switch {
	case errors.Is(err, unix.ENOSYS):
		return nil, kind.Refuse("this kernel cannot look up names without following links (openat2, Linux 5.6)")
	case errors.Is(err, unix.ELOOP):
		return nil, kind.Refuse("a part of %s is a symbolic link; name the folder itself", at)
	case err != nil:
		return nil, kind.Refuse("%s cannot be opened: %v", at, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return nil, kind.Unknown(at, err)
	}
	return &folder{path: at, fd: fd, dev: st.Dev}, nil
}

func (d *folder) close() { _ = unix.Close(d.fd) }

func (d *folder) room() (room, error) { return roomOf(d.fd) }

// sub opens a folder below; "." is the folder itself.
func (d *folder) sub(name string) (*os.File, error) {
	fd, err := unix.Openat2(d.fd, name, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: beneath,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path.Join(d.path, name), err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// candidates are the files that may go, the oldest first: what a glob names, was last written to before the time, and is
// not among the keep newest of its glob and folder.
func (d *folder) candidates(ctx context.Context, globs []string, keep int, before time.Time) ([]file, error) {
	w := walk{ctx: ctx, dir: d, keep: keep, before: before, found: map[string]file{}, stay: map[string]bool{}}
	for _, glob := range globs {
		if err := w.match(".", strings.Split(glob, "/")); err != nil {
			return nil, err
		}
	}
	var list []file
	for name, f := range w.found {
		if !w.stay[name] { // also not if another glob would let it go
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b file) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Name, b.Name)) })
	return list[:min(maxFiles, len(list))], nil
}

// walk gathers what the globs name.
type walk struct {
	ctx    context.Context
	dir    *folder
	keep   int
	before time.Time
	read   int             // entries so far
	found  map[string]file // that may go
	stay   map[string]bool // that are among the newest
}

// match follows one glob, segment by segment. What lies below a link or another mount, or is the agent's own, is not there.
func (w *walk) match(at string, segments []string) error {
	if own := w.dir.own; own != "" && strings.HasPrefix(path.Join(w.dir.path, at)+"/", own+"/") {
		return nil
	}
	sub, err := w.dir.sub(at)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return kind.Refuse("what may go cannot be listed: %v", err)
	}
	defer sub.Close()
	var here []file
	for {
		names, err := sub.Readdirnames(1024)
		if w.read += len(names); w.read > maxEntries {
			return kind.Refuse("%s has more than %d entries where the globs lead", w.dir.path, maxEntries)
		}
		for _, name := range names {
			fits, _ := path.Match(segments[0], name) // the loader has seen to the pattern
			switch {
			case !fits || strings.HasPrefix(name, ".") && !strings.HasPrefix(segments[0], "."):
			case len(segments) > 1:
				if err := w.match(path.Join(at, name), segments[1:]); err != nil {
					return err
				}
			default:
				if f, ok := w.dir.stat(int(sub.Fd()), path.Join(at, name)); ok {
					here = append(here, f)
				}
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = w.ctx.Err()
		}
		if err != nil {
			return kind.Unknown("what lies in "+path.Join(w.dir.path, at), err)
		}
	}
	slices.SortFunc(here, func(a, b file) int { return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(b.Name, a.Name)) })
	for i, f := range here {
		if i < w.keep {
			w.stay[f.Name] = true
		} else if f.Time.Before(w.before) {
			w.found[f.Name] = f
		}
	}
	return nil
}

// stat looks at a name in the open folder parent. Only regular files count that have no other name: what has one takes as much
// room without this one.
func (d *folder) stat(parent int, name string) (file, bool) {
	var st unix.Stat_t
	if err := unix.Fstatat(parent, path.Base(name), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return file{}, false
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 {
		return file{}, false
	}
	return file{Name: name, Size: uint64(st.Blocks) * 512, Inode: st.Ino, Time: time.Unix(st.Mtim.Unix()).UTC()}, true
}

// at gives the folder of a file that is still the one that was listed.
func (d *folder) at(f file) (*os.File, error) {
	parent, err := d.sub(path.Dir(f.Name))
	if err != nil {
		return nil, err
	}
	if now, ok := d.stat(int(parent.Fd()), f.Name); !ok || now.Inode != f.Inode || !now.Time.Equal(f.Time) {
		parent.Close()
		return nil, fmt.Errorf("%s is gone or was written to", path.Join(d.path, f.Name))
	}
	return parent, nil
}

// has returns nil while the file is there as it was listed.
func (d *folder) has(f file) error {
	parent, err := d.at(f)
	if err == nil {
		parent.Close()
	}
	return err
}

// remove removes the file, if it is still the one that was listed.
func (d *folder) remove(f file) error {
	parent, err := d.at(f)
	if err != nil {
		return err
	}
	defer parent.Close()
	if err := unix.Unlinkat(int(parent.Fd()), path.Base(f.Name), 0); err != nil {
		return fmt.Errorf("remove %s: %w", path.Join(d.path, f.Name), err)
	}
	return nil
}
