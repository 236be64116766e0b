package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrLocked: another process has the data folder.
var ErrLocked = errors.New("the data folder is in use")

// The data folder holds
//
//	lock        held by the process that has it
//	log.db      Raft's log, its votes, and who this node is: lost together or not at all
//	snapshots/  the newest two
const (
	lockFile    = "lock"
	logFile     = "log.db"
	snapshotDir = "snapshots"
)

// lockFolder makes the folder, closes it to others, and takes its lock. Closing the file gives the lock back.
func lockFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Join(dir, snapshotDir), 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	for _, d := range []string{dir, filepath.Join(dir, snapshotDir)} {
		if err := os.Chmod(d, 0o700); err != nil {
			return nil, fmt.Errorf("close data folder to others: %w", err)
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s: another salve-controller runs with it", ErrLocked, dir)
		}
		return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
	}
	return f, nil
}

// sweep removes snapshots that a crash left half written; Raft's store ignores them and keeps them for ever.
func sweep(dir string) error {
	entries, err := os.ReadDir(filepath.Join(dir, snapshotDir))
	if err != nil {
		return fmt.Errorf("read data folder: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".tmp") {
			if err := os.RemoveAll(filepath.Join(dir, snapshotDir, e.Name())); err != nil {
				return fmt.Errorf("remove half a snapshot: %w", err)
			}
		}
	}
	return nil
}
