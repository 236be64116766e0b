package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Owner is whom a file belongs to.
type Owner struct{ UID, GID int }

// OwnerOf is whom root acts for in a folder that is not root's. nil: this process is not root, the folder is, or it is
// not there.
func OwnerOf(dir string) (*Owner, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || stat.Uid == 0 {
		return nil, nil
	}
	return &Owner{int(stat.Uid), int(stat.Gid)}, nil
}

// Create makes a file that is not there, for an owner; nil is this process's user. Root may do so in a folder of somebody
// else, who cannot lead it to another place: no link is followed, and what is there stays. The error is then
// fs.ErrExist. A crash may leave a part of the file, but not one that others can read.
func Create(path string, b []byte, mode os.FileMode, owner *Owner) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && owner != nil {
		err = f.Chown(owner.UID, owner.GID)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return SyncDir(filepath.Dir(path))
}

// Mkdir makes a folder, unless it is there, and gives it to the owner while nothing is in it; nil is this process's user.
func Mkdir(dir string, mode os.FileMode, owner *Owner) error {
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	if owner == nil {
		return nil
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if names, _ := f.Readdirnames(1); len(names) > 0 {
		return nil
	}
	if err := errors.Join(f.Chown(owner.UID, owner.GID), f.Chmod(mode)); err != nil {
		return fmt.Errorf("give folder to its owner: %w", err)
	}
	return nil
}
