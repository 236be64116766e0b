// Package release knows which version a service runs of what it has versions of, such as the release that its link leads to,
// and which of them have run well on this host. It changes nothing of theirs.
package release

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/lookup"
)

// Release is one release as it lies on disk.
type Release struct {
	Folder string `json:"folder"` // absolute, no part of it is a symbolic link
	// Identity is that of the folder itself: another folder of the same name is another release.
	Identity string `json:"identity"`
}

// Name is the release for people.
func (r Release) Name() string { return path.Base(r.Folder) }

// Link is a release link as it is now.
type Link struct {
	Release
	Text string        // what the link says
	Age  time.Duration // since it was made to say so, as far as the clock of the file system can be trusted
}

// Place is a release link and the folder that its releases lie in. Both folders are held open: what is looked up later is
// looked up in them, whatever their paths lead to then.
type Place struct {
	link, releases string
	dir, base      int // descriptors of the folder of the link, and of that of the releases
}

// Open opens the folder of the link and that of the releases, neither of which may be reached by a symbolic link.
func Open(link, releases string) (*Place, error) {
	dir, err := openFolder(path.Dir(link))
	if err != nil {
		return nil, err
	}
	base, err := openFolder(releases)
	if err != nil {
		_ = unix.Close(dir)
		return nil, err
	}
	return &Place{link: link, releases: releases, dir: dir, base: base}, nil
}

// Close gives the descriptors back.
func (p *Place) Close() {
	_ = unix.Close(p.dir)
	_ = unix.Close(p.base)
}

// Dir is the descriptor of the folder that the link lies in, open until Close.
func (p *Place) Dir() int { return p.dir }

// Base is the name of the link in its folder.
func (p *Place) Base() string { return path.Base(p.link) }

func openFolder(at string) (int, error) {
	fd, err := lookup.Root(at, unix.O_RDONLY)
	switch {
	case errors.Is(err, unix.ELOOP):
		return -1, fmt.Errorf("a part of %s is a symbolic link; name the folder itself", at)
	case err != nil:
		return -1, fmt.Errorf("%s cannot be opened: %w", at, err)
	}
	return fd, nil
}

// Text is what the link says.
func (p *Place) Text() (string, error) {
	var buf [unix.PathMax]byte
	n, err := unix.Readlinkat(p.dir, p.Base(), buf[:])
	switch {
	case errors.Is(err, unix.EINVAL):
		return "", fmt.Errorf("%s is no symbolic link", p.link)
	case err != nil:
		return "", fmt.Errorf("%s: %w", p.link, err)
	}
	return string(buf[:n]), nil
}

// Current is the link as it is now. It leads to a release, or there is an error.
func (p *Place) Current() (Link, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(p.dir, p.Base(), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Link{}, fmt.Errorf("%s: %w", p.link, err)
	}
	text, err := p.Text()
	if err != nil {
		return Link{}, err
	}
	folder := path.Clean(text)
	if !path.IsAbs(text) {
		folder = path.Join(path.Dir(p.link), text)
	}
	since, err := age(st.Ctim.Nano())
	if err != nil {
		return Link{}, err
	}
	r, err := p.Find(folder)
	return Link{Release: r, Text: text, Age: since}, err
}

// Find is the release in that folder. It is one that lies among the releases, is not reached by a link, belongs to root or to
// whom the folder of releases belongs, and cannot be replaced by everybody.
func (p *Place) Find(folder string) (Release, error) {
	below, ok := strings.CutPrefix(folder, p.releases+"/")
	if !ok {
		return Release{}, fmt.Errorf("%s does not lie in %s", folder, p.releases)
	}
	fd, err := lookup.Folder(p.base, below, unix.O_PATH, lookup.AnyMount)
	switch {
	case errors.Is(err, unix.ELOOP):
		return Release{}, fmt.Errorf("a part of %s is a symbolic link", folder)
	case err != nil:
		return Release{}, fmt.Errorf("%s: %w", folder, err)
	}
	defer unix.Close(fd)
	var st, base unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &st), unix.Fstat(p.base, &base)); err != nil {
		return Release{}, fmt.Errorf("%s: %w", folder, err)
	}
	switch {
	case st.Uid != 0 && st.Uid != base.Uid:
		return Release{}, fmt.Errorf("%s belongs to user %d, and neither to root nor to whom %s belongs", folder, st.Uid, p.releases)
	case st.Mode&0o002 != 0:
		return Release{}, fmt.Errorf("%s can be changed by everybody (mode %04o)", folder, st.Mode&0o7777)
	}
	return Release{Folder: folder, Identity: Identity(fd, "")}, nil
}

// Marked reports whether the release has a file of that name at its top.
func (p *Place) Marked(r Release, name string) (bool, error) {
	fd, err := lookup.Folder(p.base, strings.TrimPrefix(r.Folder, p.releases+"/"), unix.O_PATH, lookup.AnyMount)
	if err != nil {
		return false, fmt.Errorf("%s: %w", r.Folder, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	err = unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

// Identity names a file itself, whatever its content and however often it is touched; "" is none. The moment of its birth
// is part of it where the file system knows it: the number of a file that is gone is soon another's. The path is looked up in
// the open folder dir; "" is that folder.
func Identity(dir int, at string) string {
	var st unix.Statx_t
	if err := unix.Statx(dir, at, unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return ""
	}
	born := int64(0)
	if st.Mask&unix.STATX_BTIME != 0 {
		born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return fmt.Sprintf("%x:%x:%x:%x", st.Dev_major, st.Dev_minor, st.Ino, born)
}
