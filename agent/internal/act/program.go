package act

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// checkProgram refuses a program that somebody other than root or the agent's own user could have
// changed: it must be a regular file and executable, and neither it nor any folder on the way to it
// may be writable by others, on the path as written and on the path behind symbolic links. Sticky
// folders may, since what lies in them is replaced by its owner only.
//
// It runs right before the program does. Between the two, only root and the agent's own user can put
// another file in its place, because nobody else may replace anything in those folders; that is why the
// program can be run by its path, which scripts need to find what lies beside them.
func checkProgram(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return refuse("the program %q needs an absolute path without \"..\"", path)
	}
	actual, err := filepath.EvalSymlinks(path)
	if err != nil {
		return refuse("the program cannot be found: %v", err)
	}
	info, err := os.Lstat(actual)
	switch {
	case err != nil:
		return refuse("the program cannot be looked at: %v", err)
	case !info.Mode().IsRegular():
		return refuse("%s is no regular file", actual)
	case info.Mode().Perm()&0o111 == 0:
		return refuse("%s is not executable", actual)
	}
	for _, p := range []string{path, actual} {
		if err := checkWay(p); err != nil {
			return refuse("%v", err)
		}
	}
	return nil
}

// checkWay checks everything from path up to the root.
func checkWay(path string) error {
	for ; ; path = filepath.Dir(path) {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if err := checkOwner(path, info); err != nil {
			return err
		}
		if path == "/" {
			return nil
		}
	}
}

func checkOwner(path string, info fs.FileInfo) error {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("the owner of %s cannot be known", path)
	}
	if owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, who could change it", path, owner.Uid)
	}
	// In a sticky folder such as /tmp others may add files, but not replace those of somebody else.
	if info.IsDir() && info.Mode()&fs.ModeSticky != 0 {
		return nil
	}
	if info.Mode()&fs.ModeSymlink == 0 && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s may be changed by others than its owner (mode %04o)", path, info.Mode().Perm())
	}
	return nil
}
