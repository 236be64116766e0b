package change

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links the kernel follows in one path.
const maxLinks = 40

// trail follows a path through its symbolic links. It returns the folders in which a new entry can make it lead elsewhere,
// and where it leads, which need not exist.
func trail(path string) (dirs []string, final string, err error) {
	at, rest, links := "/", strings.Split(path, "/"), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		target, err := os.Readlink(next)
		if err != nil {
			if !errors.Is(err, syscall.EINVAL) && !errors.Is(err, fs.ErrNotExist) { // not a link, or not there
				return nil, "", err
			}
			if at = next; len(rest) == 0 || errors.Is(err, fs.ErrNotExist) {
				dirs = append(dirs, filepath.Dir(next))
			}
			continue
		}
		if links++; links > maxLinks {
			return nil, "", fmt.Errorf("%s: too many links", path)
		}
		dirs = append(dirs, at)
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return dirs, at, nil
}

// identity names a file itself, whatever its content and however often it is touched; "" is none. The moment of its birth
// is part of it where the file system knows it: the number of a file that is gone is soon another's.
func identity(path string) string {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return ""
	}
	born := int64(0)
	if st.Mask&unix.STATX_BTIME != 0 {
		born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return fmt.Sprintf("%x:%x:%x:%x", st.Dev_major, st.Dev_minor, st.Ino, born)
}
