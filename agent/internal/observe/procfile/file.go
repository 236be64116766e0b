// Package procfile reads the small files in which the kernel shows its figures, without allocating:
// files are kept open and read again from the start, which costs a tenth of opening them each time.
package procfile

import (
	"golang.org/x/sys/unix"
)

// File is one file of /proc or /sys, opened at the first Read and kept. It belongs to one goroutine.
type File struct {
	path string
	fd   int // -1: not open
}

// New is a file that the first Read opens.
func New(path string) *File { return &File{path: path, fd: -1} }

// Path is where the file is.
func (f *File) Path() string { return f.path }

// ends is the length below which the first read has certainly reached the end: the kernel fills a
// page before it stops between two records, and none of the records in question is half a page long.
const ends = 2048

// Read returns the file's content of now, in buf. What does not fit is cut off. When reading fails,
// for instance because the cgroup or process is gone, the file is closed and the next Read opens it
// again by its path. Errors are bare unix.Errno values: they cost no allocation.
func (f *File) Read(buf []byte) ([]byte, error) {
	if f.fd < 0 {
		fd, err := unix.Open(f.path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		if err != nil {
			return nil, err
		}
		f.fd = fd
	}
	n := 0
	for n < len(buf) {
		m, err := unix.Pread(f.fd, buf[n:], int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		n += m
		if m == 0 || n < ends {
			break
		}
	}
	return buf[:n], nil
}

// Close closes the file. It may be read again.
func (f *File) Close() {
	if f.fd >= 0 {
		_ = unix.Close(f.fd)
		f.fd = -1
	}
}
