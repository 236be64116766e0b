// Package lookup opens names without following a symbolic link anywhere on the way. It goes part by part, and holds each part
// while it looks at it and opens the next one in it, so that nobody can put something else there in between. The kernel's
// openat2 would do that in one call, but a unit with RestrictSUIDSGID= forbids it.
//
// No part is "..", and no file system is mounted because somebody looked (automount). Errors are those of openat2: ELOOP for a
// symbolic link, EXDEV for "..", an absolute name or another mount, ENOTDIR for a part that is no folder.
package lookup

import (
	"errors"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Mount is the mount that something lies on, as long as something on it is held open.
type Mount int64

// AnyMount is for names that may lead across mounts.
const AnyMount Mount = -1

// ErrMounts is the error where the kernel does not tell which mount something lies on.
var ErrMounts = errors.New("the kernel does not tell mounts apart: that takes Linux 5.8 (statx)")

// Root opens the folder at an absolute path, across whatever mounts. The flags are those of open.
func Root(at string, flags int) (int, error) {
	below, ok := strings.CutPrefix(at, "/")
	if !ok {
		return -1, unix.EINVAL
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	return Folder(root, strings.TrimLeft(below, "/"), flags, AnyMount)
}

// Folder opens a folder below dir, an open one; "." is dir itself. All parts must lie on that mount.
func Folder(dir int, name string, flags int, on Mount) (int, error) {
	if path.IsAbs(name) {
		return -1, unix.EXDEV
	}
	at := dir
	defer func() {
		if at != dir {
			_ = unix.Close(at)
		}
	}()
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." {
			continue
		}
		next, err := step(at, part, on)
		if err != nil {
			return -1, err
		}
		if at != dir {
			_ = unix.Close(at)
		}
		at = next
	}
	return unix.Openat(at, ".", flags|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// step takes hold of one folder in at.
func step(at int, part string, on Mount) (int, error) {
	if part == ".." {
		return -1, unix.EXDEV
	}
	// Not with O_DIRECTORY, which would mount what is to be mounted, and say of a link that it is no folder.
	fd, err := unix.Openat(at, part, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := check(fd, unix.S_IFDIR, on); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// File opens a regular file that lies in dir, an open folder, and on that mount.
func File(dir int, name string, flags int, on Mount) (int, error) {
	if name == ".." || strings.Contains(name, "/") {
		return -1, unix.EXDEV
	}
	// What turns out to be none is not waited for.
	fd, err := unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := check(fd, unix.S_IFREG, on); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// check returns nil if what is open is of that type and lies on that mount.
func check(fd int, want uint16, on Mount) error {
	st, err := stat(fd)
	if err != nil {
		return err
	}
	switch is := st.Mode & unix.S_IFMT; {
	case is == unix.S_IFLNK:
		return unix.ELOOP
	case is != want && want == unix.S_IFDIR:
		return unix.ENOTDIR
	case is != want:
		return unix.EINVAL
	case on == AnyMount:
		return nil
	}
	at, err := mount(&st)
	if err == nil && at != on {
		err = unix.EXDEV
	}
	return err
}

// Of is the mount that an open file lies on. The error may be ErrMounts.
func Of(fd int) (Mount, error) {
	st, err := stat(fd)
	if err != nil {
		return 0, err
	}
	return mount(&st)
}

func stat(fd int) (st unix.Statx_t, err error) {
	err = unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE|unix.STATX_MNT_ID, &st)
	return st, err
}

func mount(st *unix.Statx_t) (Mount, error) {
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return 0, ErrMounts
	}
	return Mount(st.Mnt_id), nil
}

// Names calls each for all names in an open folder, in no order, until that returns an error.
func Names(dir *os.File, each func(name string) error) error {
	for {
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			if err := each(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
