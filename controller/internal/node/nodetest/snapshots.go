package nodetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

// MemSnapshots keeps the newest two snapshots in memory, as raft.FileSnapshotStore does on disk: one is there when
// it was closed, and not before.
type MemSnapshots struct {
	mu    sync.Mutex
	kept  []*memSnapshot // newest first
	made  int
	fault error
}

var _ raft.SnapshotStore = (*MemSnapshots)(nil)

type memSnapshot struct {
	meta raft.SnapshotMeta
	data []byte
}

// NewMemSnapshots is an empty store.
func NewMemSnapshots() *MemSnapshots { return &MemSnapshots{} }

// Fail makes every snapshot fail from now on, nil: none.
func (m *MemSnapshots) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = err
}

// Spoil changes one byte of the newest snapshot, if there is one.
func (m *MemSnapshots) Spoil() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.kept) == 0 {
		return false
	}
	m.kept[0].data[len(m.kept[0].data)/2] ^= 1
	return true
}

// Copy is the store as it is now.
func (m *MemSnapshots) Copy() *MemSnapshots {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &MemSnapshots{made: m.made}
	for _, s := range m.kept {
		c.kept = append(c.kept, &memSnapshot{meta: s.meta, data: bytes.Clone(s.data)})
	}
	return c
}

// Create begins a snapshot.
func (m *MemSnapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault != nil {
		return nil, m.fault
	}
	m.made++
	return &sink{store: m, of: &memSnapshot{meta: raft.SnapshotMeta{
		Version: version, ID: fmt.Sprintf("%d-%d-%d", term, index, m.made), Index: index, Term: term,
		Configuration: configuration, ConfigurationIndex: configurationIndex,
	}}}, nil
}

// List gives the newest first.
func (m *MemSnapshots) List() ([]*raft.SnapshotMeta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*raft.SnapshotMeta
	for _, s := range m.kept {
		meta := s.meta
		out = append(out, &meta)
	}
	return out, nil
}

// Open reads one.
func (m *MemSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.kept {
		if s.meta.ID == id {
			meta := s.meta
			return &meta, io.NopCloser(bytes.NewReader(bytes.Clone(s.data))), nil
		}
	}
	return nil, nil, errors.New("no such snapshot")
}

// sink takes one snapshot.
type sink struct {
	store *MemSnapshots
	of    *memSnapshot
	over  bool
}

func (s *sink) ID() string { return s.of.meta.ID }

func (s *sink) Write(b []byte) (int, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.store.fault != nil {
		return 0, s.store.fault
	}
	s.of.data = append(s.of.data, b...)
	return len(b), nil
}

func (s *sink) Close() error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.over {
		return nil
	}
	s.over = true
	if s.store.fault != nil {
		return s.store.fault
	}
	s.of.meta.Size = int64(len(s.of.data))
	s.store.kept = append([]*memSnapshot{s.of}, s.store.kept...)
	s.store.kept = s.store.kept[:min(2, len(s.store.kept))]
	return nil
}

func (s *sink) Cancel() error {
	s.over = true
	return nil
}
