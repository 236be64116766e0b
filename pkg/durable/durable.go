// Package durable puts files in place so that a crash, of the program or of the machine, leaves the old one or the
// new one, whole, and never a part.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// NewSuffix ends the name of a file that is being written, beside the one that it will replace. What a crash left
// of it is overwritten by the next Write.
const NewSuffix = ".new"

// Write replaces the file at path, which gets the given mode. It returns once the bytes and the name are on the disk.
// Two Writes of one path must not run at the same time. After an error the old file is still in place, unless only
// the last step failed, the sync of the folder: then nobody knows which one a crash would leave.
func Write(path string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path+NewSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(mode) // it may have been left by a crash, with another one
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return Rename(f.Name(), path)
}

// Rename renames a file whose bytes are on the disk already, and returns once the new name is, too.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
}

// SyncDir brings the names in a folder to the disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
