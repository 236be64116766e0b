package local

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse says that another agent answers on the socket.
var ErrInUse = errors.New("another agent answers on the socket")

// socketMode lets the group in: who is in it may operate the agent.
const socketMode = 0o660

// listenSocket opens the unix socket at path. What a dead agent left there is replaced; what answers,
// or is no socket, is left alone.
func listenSocket(path string) (net.Listener, error) {
	if err := checkFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on agent socket: %w", err)
	}
	// Until this line the umask rules, and no sane one lets others write, which is what connecting
	// to a socket needs.
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("set mode of agent socket: %w", err), l.Close())
	}
	return l, nil
}

// checkFolder makes the socket's folder if there is none, and refuses one in which anybody could put
// a socket of his own under the agent's name.
func checkFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make folder of agent socket: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at folder of agent socket: %w", err)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("folder %s of the agent socket is writable by everybody: chmod o-w it, or choose another", dir)
	}
	return nil
}

// removeStale removes a socket on which nobody answers. Two agents that start at the same moment are
// kept apart by the journal's lock, not here.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at agent socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is in the way of the agent socket and is not a socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(fmt.Errorf("%w: %s", ErrInUse, path), c.Close())
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("ask who answers on agent socket: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove stale agent socket: %w", err)
	}
	return nil
}
