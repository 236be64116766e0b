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

	"github.com/salveops/salve/agent/internal/release"
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

// identity names the file that a path leads to, whatever its content; "" is none.
func identity(path string) string {
	if path == "" {
		return ""
	}
	return release.Identity(unix.AT_FDCWD, path)
}
