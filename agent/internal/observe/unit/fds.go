package unit

import "golang.org/x/sys/unix"

// fdFolder is a /proc/PID/fd folder that is kept open.
type fdFolder struct {
	path string
	fd   int // -1: not open
}

// count counts the open files of the process. Since Linux 6.2 the folder's size tells; before, its
// size is 0 and the entries are listed. When it fails, the folder is closed.
func (f *fdFolder) count(buf []byte) (int, error) {
	if f.fd < 0 {
		fd, err := unix.Open(f.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		f.fd = fd
	}
	var st unix.Stat_t
	err := unix.Fstat(f.fd, &st)
	n := int(st.Size)
	if err == nil && n == 0 {
		n, err = f.list(buf)
	}
	if err != nil {
		f.close()
		return 0, err
	}
	return n, nil
}

// list counts the entries without . and ..
func (f *fdFolder) list(buf []byte) (int, error) {
	if _, err := unix.Seek(f.fd, 0, unix.SEEK_SET); err != nil {
		return 0, err
	}
	n := 0
	for {
		m, err := unix.ReadDirent(f.fd, buf)
		if err != nil {
			return 0, err
		}
		if m == 0 {
			return max(0, n-2), nil
		}
		n += entries(buf[:m])
	}
}

func (f *fdFolder) close() {
	if f.fd >= 0 {
		_ = unix.Close(f.fd)
		f.fd = -1
	}
}

// entries counts the records of one answer of getdents64. Each begins with two numbers of 8 bytes,
// then its own length in 2, low byte first on every platform that systemd hosts commonly have.
func entries(b []byte) int {
	n := 0
	for len(b) >= 19 {
		length := int(b[16]) | int(b[17])<<8
		if length < 19 || length > len(b) {
			break
		}
		n++
		b = b[length:]
	}
	return n
}
