// Package owned tells files that only root can change from those that others can.
package owned

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links a path may lead through, as in the kernel.
const maxLinks = 40

// Way refuses a file that anybody but root (or, in tests, this process's own user) could change: by
// writing to it, or by putting something else in its place, in any folder on the way to it and to each
// symbolic link on that way. What passes can't change between this check and the reading, except by root's hand.
func Way(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%q is no absolute path", path)
	}
	links := 0
	_, err := walk("/", filepath.Clean(path), &links)
	return err
}

// walk checks the folder done, and then each step of rest below it. It returns where that leads.
func walk(done, rest string, links *int) (string, error) {
	if err := Check(done); err != nil {
		return "", err
	}
	for step := range strings.SplitSeq(rest, "/") {
		switch step {
		case "", ".":
			continue
		case "..":
			done = filepath.Dir(done)
			continue
		}
		next := filepath.Join(done, step)
		if err := Check(next); err != nil {
			return "", err
		}
		target, err := os.Readlink(next)
		if errors.Is(err, syscall.EINVAL) { // no link
			done = next
			continue
		}
		if err != nil {
			return "", err
		}
		if *links++; *links > maxLinks {
			return "", fmt.Errorf("%s: too many symbolic links", next)
		}
		if filepath.IsAbs(target) {
			done = "/"
		}
		if done, err = walk(done, target, links); err != nil {
			return "", err
		}
	}
	return done, nil
}

// Check is Way for the one file or folder at path, whatever the way to it. A symbolic link is not followed.
func Check(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode(); {
	case !ok:
		return fmt.Errorf("the owner of %s cannot be known", path)
	case stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d, who could allow himself what he likes: chown root it", path, stat.Uid)
	case mode&fs.ModeSymlink != 0:
		return nil // has no mode of its own; who could replace it is a matter of its folder
	case mode.IsDir() && mode&fs.ModeSticky != 0:
		return nil // others cannot replace what is not theirs
	case mode.Perm()&0o002 != 0 || mode.Perm()&0o020 != 0 && stat.Gid != 0:
		return fmt.Errorf("%s can be changed by others than root (mode %04o): chmod go-w it", path, mode.Perm())
	}
	return nil
}
