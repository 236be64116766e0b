package isolate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/owned"
	"github.com/salveops/salve/pkg/clock"
)

// mark is a file that is there while a service shall do without the dependency. Its first line is the attempt's ID, its
// second one says until when, for a service that wants to be sure although the agent is dead.
type mark struct {
	path  string
	clock clock.Clock
}

func (m mark) describe() string { return "make the file " + m.path }

func (m mark) check(context.Context) error {
	dir := filepath.Dir(m.path)
	if err := owned.Way(dir); err != nil {
		return kind.Refuse("the file would not be safe from others: %v", err)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return kind.Refuse("%s cannot be written to: %v", dir, err)
	}
	switch _, err := os.Lstat(m.path); {
	case err == nil:
		return kind.Needless("%s is there already", m.path)
	case !errors.Is(err, os.ErrNotExist):
		return kind.Unknown("whether "+m.path+" is there", err)
	}
	return nil
}

// make gives the file its name when it is whole, and only if nothing has that name.
func (m mark) make(_ context.Context, id string, d time.Duration) error {
	fd, err := unix.Open(filepath.Dir(m.path), unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return fmt.Errorf("make %s: %w", m.path, err)
	}
	f := os.NewFile(uintptr(fd), m.path)
	defer f.Close()
	until := m.clock.Now().Wall.Add(d).UTC().Format(time.RFC3339)
	if _, err := io.WriteString(f, id+"\nuntil "+until+"\n"); err != nil {
		return fmt.Errorf("write %s: %w", m.path, err)
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync()); err != nil { // the service reads it, whatever this process's umask
		return fmt.Errorf("write %s: %w", m.path, err)
	}
	if err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, m.path, unix.AT_SYMLINK_FOLLOW); err != nil {
		return fmt.Errorf("make %s: %w", m.path, err)
	}
	return m.keep()
}

// keep has the folder as it is survive a power cut: a file that came back would be nobody's to remove.
func (m mark) keep() error {
	dir, err := os.Open(filepath.Dir(m.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (m mark) mend(ctx context.Context, id string) error {
	made, err := m.made(ctx, id)
	if err != nil || !made {
		return err
	}
	if err := os.Remove(m.path); err != nil {
		return err
	}
	return m.keep()
}

// made takes what is no file for that of another.
func (m mark) made(_ context.Context, id string) (bool, error) {
	f, err := os.OpenFile(m.path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return false, err
	}
	line, err := bufio.NewReaderSize(io.LimitReader(f, 1024), 1024).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read %s: %w", m.path, err)
	}
	return strings.TrimSuffix(line, "\n") == id, nil
}
