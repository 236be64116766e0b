package agentapi

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/salveops/salve/pkg/durable"
)

// Bounds of evidence.
const (
	maxPiece  = 256 << 10 // bytes of one piece
	maxFolder = 256 << 20 // bytes of all pieces; the oldest goes first
	maxTitle  = 200       // bytes
)

// Names in the evidence folder.
const (
	evidenceDir = "evidence"
	titleSuffix = ".title"
)

// errDigest says that a piece is not what it says it is.
var errDigest = errors.New("the evidence does not have the digest under which it came")

// Store keeps evidence beside the log: each piece as a file named after its SHA-256, whole or not at all.
type Store struct {
	dir string

	mu     sync.Mutex
	pieces map[string]piece // by digest in hex
	size   int64
	most   int64
}

// piece is one file.
type piece struct {
	size int64
	at   time.Time
}

// OpenStore opens the evidence in a data folder. What an earlier life left half-made is removed.
func OpenStore(data string) (*Store, error) {
	s := &Store{dir: filepath.Join(data, evidenceDir), pieces: map[string]piece{}, most: maxFolder}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make evidence folder: %w", err)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("read evidence folder: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), durable.NewSuffix) {
			if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil {
				return nil, fmt.Errorf("remove half-made evidence: %w", err)
			}
			continue
		}
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && isDigest(e.Name()) {
			s.pieces[e.Name()] = piece{info.Size(), info.ModTime()}
			s.size += info.Size()
		}
	}
	return s, nil
}

// isDigest reports whether a file's name is that of a piece.
func isDigest(name string) bool {
	b, err := hex.DecodeString(name)
	return err == nil && len(b) == sha256.Size && name == hex.EncodeToString(b)
}

// Open gives a piece by its digest; the error is fs.ErrNotExist if there is none.
func (s *Store) Open(digest []byte) (title string, r io.ReadCloser, err error) {
	if len(digest) != sha256.Size {
		return "", nil, fs.ErrNotExist
	}
	name := filepath.Join(s.dir, hex.EncodeToString(digest))
	f, err := os.Open(name)
	if err != nil {
		return "", nil, err
	}
	b, err := os.ReadFile(name + titleSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, errors.Join(err, f.Close())
	}
	return string(b[:min(len(b), maxTitle)]), f, nil
}

// Put keeps a piece. One that is there already is kept longer.
func (s *Store) Put(digest []byte, title string, body []byte, now time.Time) error {
	if sum := sha256.Sum256(body); string(sum[:]) != string(digest) {
		return errDigest
	}
	if len(body) > maxPiece {
		return fmt.Errorf("a piece of evidence of %d bytes; at most %d are kept", len(body), maxPiece)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := hex.EncodeToString(digest)
	path := filepath.Join(s.dir, name)
	if old, ok := s.pieces[name]; ok {
		s.pieces[name] = piece{old.size, now}
		return os.Chtimes(path, now, now)
	}
	if err := s.makeRoom(int64(len(body))); err != nil {
		return err
	}
	if err := durable.Write(path+titleSuffix, []byte(title[:min(len(title), maxTitle)]), 0o600); err != nil {
		return fmt.Errorf("keep title of evidence: %w", err)
	}
	if err := durable.Write(path, body, 0o600); err != nil {
		return errors.Join(fmt.Errorf("keep evidence: %w", err), os.Remove(path+titleSuffix))
	}
	s.pieces[name] = piece{int64(len(body)), now}
	s.size += int64(len(body))
	return os.Chtimes(path, now, now) // the age that another life goes by
}

// makeRoom removes the oldest pieces until there is room for more bytes.
func (s *Store) makeRoom(more int64) error {
	if s.size+more <= s.most {
		return nil
	}
	names := make([]string, 0, len(s.pieces))
	for name := range s.pieces {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(s.pieces[a].at.Compare(s.pieces[b].at), cmp.Compare(a, b))
	})
	for _, name := range names {
		if s.size+more <= s.most*9/10 { // some more, so that the next piece need not sort again
			break
		}
		path := filepath.Join(s.dir, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old evidence: %w", err)
		}
		if err := os.Remove(path + titleSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old evidence: %w", err)
		}
		s.size -= s.pieces[name].size
		delete(s.pieces, name)
	}
	return nil
}
