package credential

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/identity"
)

// lookEvery is how often the files are looked at. Whoever replaced them and does not want to wait sends a SIGHUP.
const lookEvery = 10 * time.Second

// ErrName: the files have become another identity's.
var ErrName = errors.New("the files belong to somebody else")

// Store is a credential that follows its files. It is safe for concurrent use.
type Store struct {
	files Files
	log   hclog.Logger
	now   atomic.Pointer[current]
}

// current is the credential that is in use.
type current struct {
	*Credential
	over chan struct{} // closed when another one is
}

// Open reads the files.
func Open(f Files, log hclog.Logger) (*Store, error) {
	c, err := Load(f)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	s := &Store{files: f, log: log}
	s.now.Store(&current{c, make(chan struct{})})
	return s, nil
}

// Current is the credential of this moment.
func (s *Store) Current() *Credential { return s.now.Load().Credential }

// Changed is closed when the credential of this moment is no longer the current one.
func (s *Store) Changed() <-chan struct{} { return s.now.Load().over }

// Config is a source for pkg/transport.
func (s *Store) Config() *tls.Config { return s.Current().Config() }

// Files are where it lies.
func (s *Store) Files() Files { return s.files }

// Reload reads the files again. If they are no credential, or another's, the old one stays. Files that are replaced
// one after the other do not fit for a moment; whoever polls tries again.
func (s *Store) Reload() (changed bool, err error) {
	c, err := Load(s.files)
	if err != nil {
		return false, fmt.Errorf("read certificate: %w", err)
	}
	old := s.Current()
	if !sameName(c.Name, old.Name) {
		return false, fmt.Errorf("read certificate: %w: %s, and not %s", ErrName, c.Name.Short(), old.Name.Short())
	}
	if c.digest == old.digest {
		return false, nil
	}
	close(s.now.Swap(&current{c, make(chan struct{})}).over)
	s.log.Info("certificate loaded", "name", c.Name.Short(), "serial", identity.Serial(c.Leaf), "until", c.Leaf.NotAfter,
		"authorities", len(c.Roots))
	return true, nil
}

func sameName(a, b identity.Name) bool { return a.Kind == b.Kind && a.ID == b.ID }

// Run follows the files until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		_, err := s.Reload()
		switch {
		case err == nil:
			last = ""
		case err.Error() != last: // once, and not every ten seconds
			last = err.Error()
			s.log.Warn("certificate refused, the old one stays", "error", err)
		}
	}
}

// Bundle is one file with everything: key, certificate, authorities.
func Bundle(path string) Files { return Files{CA: path, Cert: path, Key: path} }
