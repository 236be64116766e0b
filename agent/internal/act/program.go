package act

import (
	"os"
	"path/filepath"

	"github.com/salveops/salve/agent/internal/owned"
)

// checkProgram refuses a program that somebody other than root or the agent's own user could have
// changed: it must be a regular file and executable, and neither it nor any folder or symbolic link on the way to it
// may be writable by others.
//
// It runs right before the program does. Between the two, only root and the agent's own user can put
// another file in its place, because nobody else may replace anything on that way; that is why the
// program can be run by its path, which scripts need to find what lies beside them.
func checkProgram(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return refuse("the program %q needs an absolute path without \"..\"", path)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return refuse("the program cannot be found: %v", err)
	case !info.Mode().IsRegular():
		return refuse("%s is no regular file", path)
	case info.Mode().Perm()&0o111 == 0:
		return refuse("%s is not executable", path)
	case info.Mode().Perm()&0o022 != 0:
		return refuse("%s can be changed by others than its owner (mode %04o)", path, info.Mode().Perm())
	}
	if err := owned.Way(path); err != nil {
		return refuse("%v", err)
	}
	return nil
}
