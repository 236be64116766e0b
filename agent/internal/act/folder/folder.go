// Package folder is how remedies remove files: below one folder, never by way of a link or on another mount, never the agent's
// own, and only what was listed before.
package folder

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/lookup"
)

// File is one regular file below the folder, as it was when it was listed.
type File struct {
	Name  string    `json:"name"` // below the folder
	Size  uint64    `json:"size"` // that it takes on disk
	Inode uint64    `json:"inode"`
	Time  time.Time `json:"time"` // when it was last written to
}

// Folder is an open folder below which every name is looked up without following a link or crossing a mount. Make it with Open.
type Folder struct {
	Path  string // as it was opened
	Dev   uint64 // of its file system
	own   string // the agent's folder, of which nothing is there; "": it has none
	fd    int
	mount lookup.Mount
}

// Open opens the folder that a remedy names, whose own way must be free of links, too. Of own, the agent's folder, nothing is
// reached by it; "": there is none.
func Open(at, own string) (*Folder, error) {
	fd, err := lookup.Root(at, unix.O_RDONLY)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, kind.Refuse("a part of %s is a symbolic link; name the folder itself", at)
	case err != nil:
		return nil, kind.Refuse("%s cannot be opened: %v", at, err)
	}
	d := &Folder{Path: at, fd: fd}
	if d.mount, err = lookup.Of(fd); err != nil {
		d.Close()
		return nil, kind.Refuse("what lies in %s cannot be told from what is mounted there: %v", at, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		d.Close()
		return nil, kind.Unknown(at, err)
	}
	d.Dev = st.Dev
	if d.own = own; own != "" {
		if real, err := filepath.EvalSymlinks(own); err == nil { // the folder's own way has no links either
			d.own = real
		}
	}
	return d, nil
}

// Close closes it.
func (d *Folder) Close() { _ = unix.Close(d.fd) }

// FD is its descriptor, until it is closed.
func (d *Folder) FD() int { return d.fd }

// errOwn is the error of Sub for the agent's own folder, and for those below it.
var errOwn = errors.New("this is the agent's own folder")

// Sub opens a folder below; "." is the folder itself.
func (d *Folder) Sub(name string) (*os.File, error) {
	if d.own != "" && strings.HasPrefix(path.Join(d.Path, name)+"/", d.own+"/") {
		return nil, errOwn
	}
	fd, err := lookup.Folder(d.fd, name, unix.O_RDONLY, d.mount)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path.Join(d.Path, name), err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// closed reports whether the error of Sub says that no folder is there, or none that remedies may reach.
func closed(err error) bool {
	return errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOTDIR) ||
		errors.Is(err, unix.ENOENT) || errors.Is(err, errOwn)
}

// Names calls each for all that lies in a folder below, as its name below the folder and the open folder that it lies in, until
// that returns an error. A folder that is not there, or that remedies may not reach, has nothing in it.
func (d *Folder) Names(at string, each func(parent int, name string) error) error {
	sub, err := d.Sub(at)
	if closed(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer sub.Close()
	parent := int(sub.Fd())
	return lookup.Names(sub, func(name string) error { return each(parent, path.Join(at, name)) })
}

// Stat looks at a name in the open folder parent. Only regular files count that have no other name: what has one takes as much
// room without this one.
func (d *Folder) Stat(parent int, name string) (File, bool) {
	var st unix.Stat_t
	if err := unix.Fstatat(parent, path.Base(name), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return File{}, false
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 {
		return File{}, false
	}
	return File{Name: name, Size: uint64(st.Blocks) * 512, Inode: st.Ino, Time: time.Unix(st.Mtim.Unix()).UTC()}, true
}

// at gives the folder of a file that is still the one that was listed.
func (d *Folder) at(f File) (*os.File, error) {
	parent, err := d.Sub(path.Dir(f.Name))
	if err != nil {
		return nil, err
	}
	if now, ok := d.Stat(int(parent.Fd()), f.Name); !ok || now.Inode != f.Inode || !now.Time.Equal(f.Time) {
		parent.Close()
		return nil, fmt.Errorf("%s is gone or was written to", path.Join(d.Path, f.Name))
	}
	return parent, nil
}

// Gone reports whether the file has gone, so that its name is no file's or another one's. One that was written to is there, and so is
// one that cannot be looked for.
func (d *Folder) Gone(f File) bool {
	parent, err := d.Sub(path.Dir(f.Name))
	if err != nil {
		return errors.Is(err, unix.ENOENT)
	}
	defer parent.Close()
	var st unix.Stat_t
	err = unix.Fstatat(int(parent.Fd()), path.Base(f.Name), &st, unix.AT_SYMLINK_NOFOLLOW)
	return errors.Is(err, unix.ENOENT) || err == nil && st.Ino != f.Inode
}

// Head is the beginning of a file that is still the one that was listed, so many bytes at most.
func (d *Folder) Head(f File, most int) ([]byte, error) {
	parent, err := d.at(f)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	fd, err := lookup.File(int(parent.Fd()), path.Base(f.Name), unix.O_RDONLY, d.mount)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path.Join(d.Path, f.Name), err)
	}
	defer unix.Close(fd)
	text := make([]byte, most)
	n, err := unix.Pread(fd, text, 0)
	return text[:max(n, 0)], err
}

// Remove removes the file, if it is still the one that was listed.
func (d *Folder) Remove(f File) error {
	parent, err := d.at(f)
	if err != nil {
		return err
	}
	defer parent.Close()
	if err := unix.Unlinkat(int(parent.Fd()), path.Base(f.Name), 0); err != nil {
		return fmt.Errorf("remove %s: %w", path.Join(d.Path, f.Name), err)
	}
	return nil
}
