package probe

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// quiet reports whether an idle connection is still open and has nothing to read. A server that gave
// up waiting closes it, some after an answer that nobody asked for; that answer must not be taken for
// the next one. What cannot be looked at counts as not quiet.
func (c *conn) quiet() bool {
	sc, ok := c.socket.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	waiting := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		waiting = err == unix.EAGAIN
	})
	return err == nil && waiting
}
