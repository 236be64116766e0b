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
	x := exchange{dir: p.Dir(), next: next, base: p.Base(), swap: unix.Renameat2}
	done, err = x.run(from.Text, to.Text)
	if left := unix.Unlinkat(p.Dir(), next, 0); left != nil && !errors.Is(left, unix.ENOENT) {
		err = errors.Join(err, fmt.Errorf("remove %s: %w", next, left))
	}
	if err != nil {
		return done, fmt.Errorf("replace %s: %w", link, err)
	}
	if err := unix.Fsync(p.Dir()); err != nil {
		return true, fmt.Errorf("write down where %s leads: %w", link, err)
	}
	return true, nil
}

// exchange lets two names of a folder change places, so that what somebody gave one of them at the last moment is not lost.
type exchange struct {
	dir        int
	next, base string
	swap       func(olddir int, old string, newdir int, new string, flags uint) error
}

// rounds bounds how often somebody may be faster.
const rounds = 8

// run lets next, a link that says to, take the place of base, a link that says from; next is to be removed then. If base turns
// out to have been something else, that gets its place back, or what has come meanwhile, which is newer. A file system that
// cannot exchange names lets next replace base, whatever that is.
func (x exchange) run(from, to string) (done bool, err error) {
	expected, put := from, to
	for i := range rounds {
		err := x.swap(x.dir, x.next, x.dir, x.base, unix.RENAME_EXCHANGE)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
			err = unix.Renameat(x.dir, x.next, x.dir, x.base)
			return err == nil, err
		}
		if err != nil {
			return false, err
		}
		var buf [unix.PathMax]byte
		n, _ := unix.Readlinkat(x.dir, x.next, buf[:]) // -1: it is no link
		held := string(buf[:max(n, 0)])
		switch {
		case held == expected && i == 0:
			return true, nil
		case held == expected:
			return false, kind.Refuse("somebody has just changed it, and it stays")
		}
		expected, put = put, held
	}
	return false, errors.New("somebody changes it all the time")
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
