package statsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
)

// waiting is how much the kernel keeps for us, if it may.
const waiting = 1 << 20

// listen opens a socket; leave closes it.
func listen(ctx context.Context, address string) (conn net.Conn, leave func(), err error) {
	path, local := strings.CutPrefix(address, "unixgram:")
	if !local {
		packets, err := new(net.ListenConfig).ListenPacket(ctx, "udp", address)
		if err != nil {
			return nil, nil, err
		}
		udp := packets.(*net.UDPConn)
		_ = udp.SetReadBuffer(waiting) // the kernel may permit less
		return udp, func() { _ = udp.Close() }, nil
	}
	if err := removeStale(path); err != nil {
		return nil, nil, err
	}
	unix, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, nil, err
	}
	leave = func() {
		_ = os.Remove(path) // first, so that it is not another's already
		_ = unix.Close()
	}
	if err := os.Chmod(path, 0o622); err != nil { // who may enter the folder may send
		leave()
		return nil, nil, err
	}
	_ = unix.SetReadBuffer(waiting)
	return unix, leave, nil
}

// removeStale removes a socket on which nobody listens any more.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and no socket", path)
	}
	if other, err := net.Dial("unixgram", path); err == nil {
		_ = other.Close()
		return fmt.Errorf("another process listens on %s", path)
	}
	return os.Remove(path)
}
