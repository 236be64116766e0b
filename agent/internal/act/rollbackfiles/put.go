package rollbackfiles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/folder"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/snapshot"
)

// put makes the files what they are in to, if they are what they are in from. All are laid beside their places first, so that what
// cannot be written touches none. It reports whether a file was touched; then it may be that not all were.
func put(ctx context.Context, store *snapshot.Store, own string, from, to *snapshot.Manifest) (touched bool, err error) {
	p := &placer{store: store, parents: map[string]*os.File{}}
	if p.dir, err = folder.Open(to.Path, own); err != nil {
		return false, err
	}
	defer p.close()
	changes := diff(from, to)
	for _, c := range changes {
		if err := errors.Join(ctx.Err(), p.lay(c)); err != nil {
			return false, err
		}
	}
	if now, err := from.Take(); err != nil {
		return false, err
	} else if now.ID() != from.ID() {
		return false, kind.Refuse("somebody has changed files in %s meanwhile, and they stay", from.Path)
	}
	for _, c := range changes {
		if err := p.place(c); err != nil {
			return touched, err
		}
		touched = true
	}
	for _, parent := range p.parents {
		if err := parent.Sync(); err != nil {
			return touched, fmt.Errorf("write down which files there are: %w", err)
		}
	}
	return touched, nil
}

// placer lays files beside their places, and then into them.
type placer struct {
	dir     *folder.Folder
	store   *snapshot.Store
	parents map[string]*os.File // open folders of what changes
	laid    []string            // that did not take their places yet
}

// close removes what did not take its place.
func (p *placer) close() {
	for _, name := range p.laid {
		_ = unix.Unlinkat(int(p.parents[path.Dir(name)].Fd()), path.Base(snapshot.Stage(name)), 0)
	}
	for _, parent := range p.parents {
		_ = parent.Close()
	}
	p.dir.Close()
}

// parent is the open folder of a file.
func (p *placer) parent(name string) (int, error) {
	at := path.Dir(name)
	if p.parents[at] == nil {
		parent, err := p.dir.Sub(at)
		if err != nil {
			return -1, err
		}
		p.parents[at] = parent
	}
	return int(p.parents[at].Fd()), nil
}

// lay writes the file of a change, as it will be, beside its place.
func (p *placer) lay(c change) error {
	parent, err := p.parent(c.name)
	if err != nil || c.to == nil {
		return err
	}
	stage := path.Base(snapshot.Stage(c.name))
	discard(parent, stage)
	fd, err := unix.Openat(parent, stage, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("lay %s beside its place: %w", c.name, err)
	}
	p.laid = append(p.laid, c.name)
	f := os.NewFile(uintptr(fd), c.name)
	err = p.store.Copy(f, *c.to)
	if err == nil {
		err = dress(f, *c.to)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("lay %s beside its place: %w", c.name, err)
	}
	return nil
}

// dress gives an open file the attributes, mode and owner that it had. The owner is last: the file is not the agent's any more then.
func dress(f *os.File, want snapshot.File) error {
	fd := int(f.Fd())
	has, err := snapshot.Describe(f)
	if err != nil {
		return err
	}
	for name, value := range want.Xattrs {
		if now, there := has.Xattrs[name]; there && bytes.Equal(now, value) {
			continue // such as a label that the kernel gives by itself
		}
		if err := unix.Fsetxattr(fd, name, value, 0); err != nil {
			return fmt.Errorf("give it the attribute %s: %w", name, err)
		}
	}
	for name := range has.Xattrs {
		if _, wanted := want.Xattrs[name]; !wanted {
			if err := unix.Fremovexattr(fd, name); err != nil {
				return fmt.Errorf("take the attribute %s from it: %w", name, err)
			}
		}
	}
	if err := unix.Fchmod(fd, want.Mode); err != nil {
		return fmt.Errorf("give it the mode %04o: %w", want.Mode, err)
	}
	if has.UID != want.UID || has.GID != want.GID {
		if err := unix.Fchown(fd, int(want.UID), int(want.GID)); err != nil {
			return fmt.Errorf("give it to user %d and group %d: %w", want.UID, want.GID, err)
		}
	}
	is, err := snapshot.Describe(f)
	if is.Name, is.Digest = want.Name, want.Digest; err == nil && !is.Equal(want) {
		err = errors.New("it cannot be made what it was")
	}
	return err
}

// place lets the file of a change take its place in one step, or removes the one that is there.
func (p *placer) place(c change) error {
	parent, err := p.parent(c.name)
	if err != nil {
		return err
	}
	if c.to == nil {
		err = unix.Unlinkat(parent, path.Base(c.name), 0)
	} else if err = unix.Renameat(parent, path.Base(snapshot.Stage(c.name)), parent, path.Base(c.name)); err == nil {
		p.laid = slices.DeleteFunc(p.laid, func(name string) bool { return name == c.name })
	}
	if err != nil {
		return fmt.Errorf("replace %s: %w", c.name, err)
	}
	return nil
}

// discard removes a file that an agent left beside its place which died.
func discard(parent int, stage string) {
	var st unix.Stat_t
	if unix.Fstatat(parent, stage, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
		_ = unix.Unlinkat(parent, stage, 0)
	}
}

// sweep removes all that an agent left which died while it put files from one state into the other, or back.
func sweep(own string, from, to *snapshot.Manifest) {
	dir, err := folder.Open(to.Path, own)
	if err != nil {
		return
	}
	defer dir.Close()
	for _, c := range diff(from, to) {
		if parent, err := dir.Sub(path.Dir(c.name)); err == nil {
			discard(int(parent.Fd()), path.Base(snapshot.Stage(c.name)))
			parent.Close()
		}
	}
}

// mayGive reports whether the agent may make a file whose owner and group are those.
func mayGive(f snapshot.File) bool {
	groups, err := unix.Getgroups()
	if err == nil && int(f.UID) == unix.Geteuid() && slices.Contains(append(groups, unix.Getegid()), int(f.GID)) {
		return true
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&head, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_CHOWN) != 0
}
