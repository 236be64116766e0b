package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/lookup"
)

// Take reads what the files of the set are now, all at one moment: files that are changed meanwhile are an error.
func (s Set) Take() (*Manifest, error) {
	return s.take(func(r io.Reader) (string, int64, error) {
		h := sha256.New()
		n, err := io.Copy(h, r)
		return hex.EncodeToString(h.Sum(nil)), n, err
	})
}

// take hands the content of each file to keep, which returns its digest and size.
func (s Set) take(keep func(io.Reader) (string, int64, error)) (*Manifest, error) {
	w, err := s.open()
	if err != nil {
		return nil, err
	}
	defer w.close()
	before, err := w.glance()
	if err != nil {
		return nil, err
	}
	m := &Manifest{Set: s, Files: []File{}}
	for _, name := range w.names() {
		f, err := w.one(name, keep)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path.Join(s.Path, name), err)
		}
		m.Files = append(m.Files, f)
	}
	if after, err := w.glance(); err != nil {
		return nil, err
	} else if !after.Same(before) {
		return nil, fmt.Errorf("files in %s are being changed", s.Path)
	}
	return m, m.check()
}

func (w *walk) one(name string, keep func(io.Reader) (string, int64, error)) (File, error) {
	dir, err := lookup.Folder(w.dir, path.Dir(name), unix.O_PATH, w.mount)
	if err != nil {
		return File{}, err
	}
	defer unix.Close(dir)
	fd, err := lookup.File(dir, path.Base(name), unix.O_RDONLY, w.mount)
	if err != nil {
		return File{}, err
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	f, err := Describe(file)
	if err != nil {
		return File{}, err
	}
	f.Name = name
	f.Digest, f.Size, err = keep(io.LimitReader(file, MaxFile+1))
	return f, err
}

// Describe is all of an open file but its name and content.
func Describe(file *os.File) (File, error) {
	fd := int(file.Fd())
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return File{}, err
	}
	f := File{Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, Size: st.Size}
	list := make([]byte, maxXattr)
	n, err := unix.Flistxattr(fd, list)
	if errors.Is(err, unix.ENOTSUP) || err == nil && n == 0 {
		return f, nil
	}
	if err != nil {
		return File{}, fmt.Errorf("list its extended attributes: %w", err)
	}
	f.Xattrs = map[string][]byte{}
	all := 0
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		value := make([]byte, maxXattr)
		n, err := unix.Fgetxattr(fd, name, value)
		if err != nil {
			return File{}, fmt.Errorf("read its extended attribute %s: %w", name, err)
		}
		f.Xattrs[name] = bytes.Clone(value[:n])
		if all += n; all > maxXattr || len(f.Xattrs) > maxXattrs {
			return File{}, fmt.Errorf("its extended attributes are more than %d, or have more than %d bytes", maxXattrs, maxXattr)
		}
	}
	return f, nil
}
