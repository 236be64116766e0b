package require

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Port is an address on loopback, with a port for a program that is yet to be started. Nobody but who is told of it gets
// that port until the test ends, also while the program restarts.
func Port(t testing.TB) string {
	t.Helper()
	address, release, err := Hold(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return address
}

// Hold keeps a TCP port of loopback, 0: any that is free. It is bound and nobody listens, so the kernel gives it neither
// to who asks for any port nor to a connection as its own end; and whoever wants this very port and sets SO_REUSEADDR,
// as all servers do, gets it. It fails for a port that somebody has, or holds.
func Hold(port int) (address string, release func(), err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, os.NewSyscallError("socket", err)
	}
	release = func() { _ = unix.Close(fd) }
	var bound unix.Sockaddr
	err = os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}))
	if err == nil { // and not before it: two that hold would share the port
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	}
	if err == nil {
		bound, err = unix.Getsockname(fd)
	}
	if err != nil {
		release()
		return "", nil, fmt.Errorf("hold port %d of loopback: %w", port, err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port), release, nil
}
