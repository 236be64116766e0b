package program

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/salveops/salve/agent/internal/owned"
)

// Check says why a program must not be run: because somebody other than root or the agent's own user could have
// changed it. It must be a regular file and executable, and neither it nor any folder or symbolic link on the way to it
// may be writable by others.
//
// It runs right before the program does. Between the two, only root and the agent's own user can put
// another file in its place, because nobody else may replace anything on that way; that is why the
// program can be run by its path, which scripts need to find what lies beside them.
func Check(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return fmt.Errorf("the program %q needs an absolute path without \"..\"", path)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("the program cannot be found: %v", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", path)
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s is not executable", path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s can be changed by others than its owner (mode %04o)", path, info.Mode().Perm())
	}
	if err := owned.Way(path); err != nil {
		return err
	}
	return nil
}

// tools are what diagnosis may run without an allow block: they change nothing.
var tools = []string{"journalctl", "ss", "ps", "dmesg", "df"}

// toolFolders are where tools are looked for, never in $PATH.
var toolFolders = []string{"/usr/bin", "/bin", "/usr/sbin", "/sbin"}

// Tool finds one of the few programs that only look, by its bare name.
func Tool(name string) (path string, err error) {
	if !slices.Contains(tools, name) {
		return "", fmt.Errorf("%s is none of the tools for diagnosis", name)
	}
	return Find(name)
}

// Find finds a program of the system by its bare name, for a kind of remedy that is allowed by what it acts on.
func Find(name string) (path string, err error) {
	for _, folder := range toolFolders {
		path := filepath.Join(folder, name)
		if Check(path) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}
