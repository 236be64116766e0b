package rollback

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/release"
)

// rewrite is what the link has to say to lead to the folder, in the manner of what it says now.
func rewrite(link, now, folder string) string {
	if path.IsAbs(now) {
		return folder
	}
	text, err := filepath.Rel(path.Dir(link), folder)
	if err != nil {
		return folder
	}
	return text
}

// says is what the link says now.
func says(link, releases string) (string, error) {
	p, err := release.Open(link, releases)
	if err != nil {
		return "", err
	}
	defer p.Close()
	return p.Text()
}

// flip lets the link lead to another release, if it leads to the first: the new link takes the place of the old one in one
// step, so that there is one at every moment. It reports whether the link leads there, whatever else failed.
func flip(link, releases string, from, to version) (done bool, err error) {
	p, err := release.Open(link, releases)
	if err != nil {
		return false, err
	}
	defer p.Close()
	var st unix.Stat_t
	if err := unix.Fstatat(p.Dir(), p.Base(), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, fmt.Errorf("%s: %w", link, err)
	}
	if text, err := p.Text(); err != nil {
		return false, err
	} else if text != from.Text {
		return false, kind.Refuse("%s leads to %s now: somebody has changed it, and it stays", link, text)
	}
	if found, err := p.Find(to.Folder); err != nil {
		return false, err
	} else if found != to.Release {
		return false, kind.Refuse("%s is another folder than before", to.Folder)
	}
	next := "." + p.Base() + ".salve"
	if err := lay(p.Dir(), next, to.Text); err != nil {
		return false, err
	}
	if int(st.Uid) != unix.Geteuid() { // whoever deploys goes on being able to; others than root cannot give it away
		_ = unix.Fchownat(p.Dir(), next, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW)
	}
	if err := unix.Renameat(p.Dir(), next, p.Dir(), p.Base()); err != nil {
		return false, errors.Join(fmt.Errorf("replace %s: %w", link, err), unix.Unlinkat(p.Dir(), next, 0))
	}
	if err := unix.Fsync(p.Dir()); err != nil {
		return true, fmt.Errorf("write down where %s leads: %w", link, err)
	}
	return true, nil
}

// lay makes a link of that name, in the place of one that an agent left which died before it was used.
func lay(dir int, name, text string) error {
	err := unix.Symlinkat(text, dir, name)
	if errors.Is(err, unix.EEXIST) {
		var st unix.Stat_t
		if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			_ = unix.Unlinkat(dir, name, 0)
			err = unix.Symlinkat(text, dir, name)
		}
	}
	if err != nil {
		return fmt.Errorf("make the link %s: %w", name, err)
	}
	return nil
}
