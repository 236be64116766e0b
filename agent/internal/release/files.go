package release

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/snapshot"
	"github.com/salveops/salve/pkg/remedy"
)

// SetOf are the files that the remedy is about.
func SetOf(a *remedy.FilesArgs) snapshot.Set { return snapshot.Set{Path: a.Path, Globs: a.Files} }

// VersionOf is a state of files as one of the versions of its service.
func VersionOf(m *snapshot.Manifest) Version {
	id := m.ID()
	return Version{ID: id, Name: snapshot.Short(id)}
}

// Marked reports whether a remedy's marker is there, at its absolute path; "" is never there.
func Marked(marker string) (bool, error) {
	if marker == "" {
		return false, nil
	}
	var st unix.Stat_t
	err := unix.Lstat(marker, &st)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", marker, err)
	}
	return true, nil
}

// files is the subject of a set of files. What ran well is kept as a snapshot.
type files struct {
	a             *remedy.FilesArgs
	service, data string

	seen snapshot.Glance // when now was read
	now  Version         // "": it was not read yet
}

// Look reads the files only if something about them has changed.
func (f *files) Look() (State, error) {
	g, err := SetOf(f.a).Glance()
	if err != nil {
		return State{}, err
	}
	if f.now.ID == "" || !g.Same(f.seen) {
		m, err := SetOf(f.a).Take()
		if err == nil && len(m.Files) == 0 {
			err = fmt.Errorf("there is no file in %s that the globs name", f.a.Path)
		}
		if err != nil {
			return State{}, err
		}
		f.now, f.seen = VersionOf(m), g
	}
	s := State{Version: f.now}
	if s.Age, err = age(g.Changed); err != nil {
		return State{}, err
	}
	s.Marked, err = Marked(f.a.Marker)
	return s, err
}

func (f *files) Keep(v Version) error {
	s, err := snapshot.Create(f.data, f.service)
	if err != nil {
		return err
	}
	defer s.Close()
	m, err := s.Save(SetOf(f.a))
	if err == nil && VersionOf(m) != v {
		err = errors.New("the files have changed meanwhile")
	}
	return err
}

func (f *files) Forget(known []Good) error {
	s, err := snapshot.Open(f.data, f.service)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.Close()
	var ids []string
	for _, g := range known {
		ids = append(ids, g.ID)
	}
	return s.Prune(ids)
}
