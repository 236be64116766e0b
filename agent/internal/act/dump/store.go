package dump

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// folder is where dumps are, below the agent's own.
const folder = "dumps"

// Bounds of what is kept.
const (
	oldest = 30 * 24 * time.Hour
	most   = 100
	total  = 1 << 30
)

// name is what a dump is called. Nothing else is ever removed.
var name = regexp.MustCompile(`^dump-[0-9A-Za-z_.-]{1,200}\.(threads|stacks|core|http)$`)

// nameOf is the file of an attempt. What is only looked at has no attempt yet.
func nameOf(a *incident.Attempt, how string) (string, error) {
	id := a.ID
	if id == "" {
		id = "ATTEMPT"
	}
	if a.Incident != "" {
		id = a.Incident + "-" + id
	}
	file := "dump-" + id + "." + how
	if !name.MatchString(file) {
		return "", kind.Refuse("no file can be called %q", file)
	}
	return file, nil
}

// room is how many bytes the disk has free for the agent, and how many of them are not for dumps.
func room(at string) (free, reserve uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		return 0, 0, err
	}
	block := uint64(st.Frsize)
	return st.Bavail * block, min(st.Blocks*block/20, 1<<30), nil
}

// roomFor refuses a dump for which the disk below the agent's folder has no room.
func roomFor(data string, a *remedy.DumpArgs) error {
	free, reserve, err := room(data)
	if err != nil {
		return kind.Refuse("how full the disk with %s is cannot be told: %v", data, err)
	}
	if most := uint64(a.Most) << 20; free < reserve+most {
		return kind.Refuse("%s are free where dumps are kept; it takes %s beside the %s that stay free",
			size(free), size(most), size(reserve))
	}
	return nil
}

// store is the folder of dumps. No name in it is looked up through a link that leads out of it.
type store struct {
	*os.Root
	path string
}

// open opens the folder below data, and makes it if it is not there.
func open(data string) (*store, error) {
	own, err := os.OpenRoot(data)
	if err != nil {
		return nil, fmt.Errorf("open the agent's folder: %w", err)
	}
	defer own.Close()
	if err := own.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the folder of dumps: %w", err)
	}
	if is, err := own.Lstat(folder); err != nil || !is.IsDir() {
		return nil, fmt.Errorf("%s in %s is no folder", folder, data)
	}
	r, err := own.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("open the folder of dumps: %w", err)
	}
	return &store{r, data + "/" + folder}, nil
}

// file is a dump that is written, as long as it may.
type file struct {
	out       *os.File
	name, dir string
	size      int64 // so far
	most      int64
}

// create makes the file of a dump, which must not be there.
func (s *store) create(name string, most int64) (*file, error) {
	f, err := s.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the file of the dump: %w", err)
	}
	return &file{out: f, name: name, dir: s.path, most: most}, nil
}

// errFull ends a dump at its size.
var errFull = errors.New("it had more than max_mib")

// Write ends at the size that the dump may have, and when others have filled the disk meanwhile.
func (f *file) Write(b []byte) (int, error) {
	free, reserve, err := room(f.dir)
	switch {
	case err != nil:
		return 0, err
	case free < reserve+uint64(len(b)):
		return 0, fmt.Errorf("only %s are free where dumps are kept, and %s stay free", size(free), size(reserve))
	}
	cut := b[:min(int64(len(b)), f.most-f.size)]
	n, err := f.out.Write(cut)
	f.size += int64(n)
	if err == nil && len(cut) < len(b) {
		err = errFull
	}
	return n, err
}

// measure takes over how large a program has made the file.
func (f *file) measure() error {
	is, err := f.out.Stat()
	if err == nil {
		f.size = is.Size()
	}
	return err
}

// close does not wait for the disk: that may be what is wrong, and the next remedy waits.
func (f *file) close() error { return f.out.Close() }

// seal is the SHA-256 of a dump, by which a copy is known. What of it is zeros only gives its place on the disk back.
func (s *store) seal(name string) (string, error) {
	f, err := s.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum, zeros, block := sha256.New(), make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; at += int64(len(block)) {
		n, err := io.ReadFull(f, block)
		sum.Write(block[:n])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return hex.EncodeToString(sum.Sum(nil)), nil
		case err != nil:
			return "", err
		case bytes.Equal(block, zeros): // not every file system can
			_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, int64(n))
		}
	}
}

// prune removes the oldest dumps until the rest is young, small and few enough; never the one called keep, and nothing that is
// no dump.
func (s *store) prune(keep string, now time.Time) (removed []string, err error) {
	dir, err := s.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var files []fs.FileInfo
	bytes := int64(0)
	for _, n := range names {
		is, err := s.Lstat(n)
		if err != nil || !is.Mode().IsRegular() || !name.MatchString(n) {
			continue
		}
		bytes += is.Size()
		files = append(files, is)
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	left := len(files)
	for _, is := range files {
		if is.Name() == keep || now.Sub(is.ModTime()) <= oldest && bytes <= total && left <= most {
			continue
		}
		if err := s.Remove(is.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
		removed = append(removed, is.Name())
		bytes -= is.Size()
		left--
	}
	return removed, nil
}
