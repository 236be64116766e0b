package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// below is where snapshots are in the agent's own folder.
const below = "snapshots"

// of is the folder for those of a service, whatever that is called: none is named "..".
func of(service string) string { return path.Join(below, "of-"+service) }

// spare is how many snapshots stay that no version needs which ran well: what remedies have left, to take them back.
const spare = 3

// Names in a store: the ID of a manifest or the digest of a content, and what it is. Its files may hold secrets.
const (
	ofManifest = ".manifest"
	ofContent  = ".content"
	unfinished = "unfinished" // what was being written when an agent died
)

// Store is the folder with the snapshots of one service. Close it.
type Store struct {
	root *os.Root
}

// Open opens the store of a service in the agent's own folder. The error wraps fs.ErrNotExist when nothing was kept yet.
func Open(data, service string) (*Store, error) {
	own, err := os.OpenRoot(data)
	if err != nil {
		return nil, fmt.Errorf("open the agent's folder: %w", err)
	}
	defer own.Close()
	root, err := own.OpenRoot(of(service))
	if err != nil {
		return nil, fmt.Errorf("open the snapshots of %s: %w", service, err)
	}
	return &Store{root}, nil
}

// Create opens the store of a service, and makes it first if it is not there.
func Create(data, service string) (*Store, error) {
	own, err := os.OpenRoot(data)
	if err != nil {
		return nil, fmt.Errorf("open the agent's folder: %w", err)
	}
	defer own.Close()
	if err := own.MkdirAll(of(service), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of snapshots: %w", err)
	}
	for _, name := range []string{".", below} { // what is made in them outlives a loss of power, too
		dir, err := own.Open(name)
		if err == nil {
			err = errors.Join(dir.Sync(), dir.Close())
		}
		if err != nil {
			return nil, fmt.Errorf("make the folder of snapshots: %w", err)
		}
	}
	return Open(data, service)
}

// Drop removes all snapshots of a service.
func Drop(data, service string) error {
	own, err := os.OpenRoot(data)
	if err != nil {
		return fmt.Errorf("open the agent's folder: %w", err)
	}
	defer own.Close()
	return own.RemoveAll(of(service))
}

// Close closes it.
func (s *Store) Close() { _ = s.root.Close() }

// lock keeps others from writing, who may be other goroutines or processes, until the file that it returns is closed.
func (s *Store) lock() (*os.File, error) {
	dir, err := s.root.Open(".")
	if err == nil {
		err = unix.Flock(int(dir.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the snapshots: %w", err)
	}
	return dir, nil
}

// Save keeps what the files of the set are now. Once it returns, this outlives a loss of power.
func (s *Store) Save(set Set) (*Manifest, error) {
	dir, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	m, err := set.take(func(r io.Reader) (string, int64, error) { return s.write(r, ofContent) })
	if err != nil {
		return nil, err
	}
	if _, _, err := s.write(bytes.NewReader(m.Text()), ofManifest); err != nil {
		return nil, err
	}
	if err := dir.Sync(); err != nil {
		return nil, fmt.Errorf("keep a snapshot: %w", err)
	}
	return m, nil
}

// write keeps what r gives under its digest.
func (s *Store) write(r io.Reader, kind string) (sum string, size int64, err error) {
	f, err := s.root.OpenFile(unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", 0, fmt.Errorf("keep a snapshot: %w", err)
	}
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(f, h), r)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		sum = hex.EncodeToString(h.Sum(nil))
		err = s.root.Rename(unfinished, sum+kind)
	}
	if err != nil {
		return "", 0, fmt.Errorf("keep a snapshot: %w", errors.Join(err, s.root.Remove(unfinished)))
	}
	return sum, size, nil
}

// Load reads the manifest with that ID. Contents may be missing; see Verify.
func (s *Store) Load(id string) (*Manifest, error) {
	if !isDigest(id) {
		return nil, fmt.Errorf("%.80q is no snapshot", id)
	}
	f, err := s.root.Open(id + ofManifest)
	if err != nil {
		return nil, fmt.Errorf("the snapshot %s was not kept: %w", Short(id), err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return nil, fmt.Errorf("read the snapshot %s: %w", Short(id), err)
	}
	if digest(text) != id {
		return nil, fmt.Errorf("the manifest of the snapshot %s is not what was kept", Short(id))
	}
	return Parse(text)
}

// Verify returns nil if all contents are there as they were kept.
func (s *Store) Verify(m *Manifest) error {
	for _, f := range m.Files {
		if err := s.Copy(io.Discard, f); err != nil {
			return err
		}
	}
	return nil
}

// Copy writes the content of a file of a snapshot. After an error what was written is not it.
func (s *Store) Copy(w io.Writer, f File) error {
	from, err := s.root.Open(f.Digest + ofContent)
	if err != nil {
		return fmt.Errorf("the content of %s was not kept: %w", f.Name, err)
	}
	defer from.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(from, MaxFile+1))
	switch {
	case err != nil:
		return fmt.Errorf("copy the content of %s: %w", f.Name, err)
	case n != f.Size || hex.EncodeToString(h.Sum(nil)) != f.Digest:
		return fmt.Errorf("the content that was kept of %s is not what it was", f.Name)
	}
	return nil
}

// Prune removes all snapshots but those with these IDs, and the youngest others.
func (s *Store) Prune(keep []string) error {
	dir, err := s.lock()
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list the snapshots: %w", err)
	}
	stay, err := s.stay(names, keep)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !stay[name] {
			err = errors.Join(err, s.root.Remove(name))
		}
	}
	return err
}

// stay are the manifests that stay, and the contents that they need.
func (s *Store) stay(names, keep []string) (map[string]bool, error) {
	var manifests []fs.FileInfo
	for _, name := range names {
		if strings.HasSuffix(name, ofManifest) {
			info, err := s.root.Lstat(name)
			if err != nil {
				return nil, fmt.Errorf("list the snapshots: %w", err)
			}
			manifests = append(manifests, info)
		}
	}
	slices.SortFunc(manifests, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	stay, others := map[string]bool{}, 0
	for _, info := range manifests {
		id := strings.TrimSuffix(info.Name(), ofManifest)
		if !slices.Contains(keep, id) {
			if others++; others > spare {
				continue
			}
		}
		stay[info.Name()] = true
		m, err := s.Load(id)
		if err != nil {
			continue // nobody can come back to it, but people may want to see it
		}
		for _, f := range m.Files {
			stay[f.Digest+ofContent] = true
		}
	}
	return stay, nil
}
