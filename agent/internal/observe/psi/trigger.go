package psi

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Window is the shortest window that the kernel accepts. It needs CAP_SYS_RESOURCE: without it, also
// for root, only multiples of two seconds are accepted, and wake seconds late.
const Window = 500 * time.Millisecond

// Trigger asks the kernel to wake us when some task stalled for a tenth of a window. It opens the
// pressure file at path and returns a file descriptor on which the kernel then signals EPOLLPRI, at
// most once a window. The caller closes it. Where it is refused, reading the totals more often has to do.
func Trigger(path string, window time.Duration) (fd int, err error) {
	fd, err = unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open pressure file: %w", err)
	}
	// The text ends in a NUL because the kernel overwrites the last byte.
	text := fmt.Appendf(nil, "some %d %d\x00", (window / 10).Microseconds(), window.Microseconds())
	if _, err := unix.Write(fd, text); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("arm pressure trigger: %w", err)
	}
	return fd, nil
}
