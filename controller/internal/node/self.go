package node

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/hashicorp/raft"
)

// ErrFolder: the data folder is not this node's, or not whole.
var ErrFolder = errors.New("unusable data folder")

// Keys under which the store holds who this node is.
var (
	keyName     = []byte("SalveName")
	keyIdentity = []byte("SalveIdentity")
	keyCluster  = []byte("SalveCluster")
)

// self is who this node is. The identity is random and made together with the log, so that a node whose data was
// lost is another one, whatever its name: Raft knows it by name and identity. The cluster is the one that this log
// belongs to, or will.
type self struct {
	store          raft.StableStore
	name, identity string

	mu      sync.Mutex
	cluster string // "": none yet
	spoken  bool   // a member of the cluster was let in, so Raft may have promised something
}

// loadSelf reads who this node is, or makes it up if there is no state yet.
func loadSelf(store raft.StableStore, name string, hasState bool) (*self, error) {
	known, err := read(store, keyName)
	if err != nil {
		return nil, err
	}
	switch {
	case known == "" && hasState:
		return nil, fmt.Errorf("%w: it holds a log or snapshots, and not whose they are: a part of it was lost; "+
			"move it away, `salve raft remove %s`, and let the node join anew", ErrFolder, name)
	case known == "":
		return makeSelf(store, name)
	case known != name:
		return nil, fmt.Errorf("%w: it is that of node %q, and this node is %q", ErrFolder, known, name)
	}
	s := &self{store: store, name: name}
	if s.identity, err = read(store, keyIdentity); err != nil {
		return nil, err
	}
	s.cluster, err = read(store, keyCluster)
	return s, err
}

// makeSelf writes the name last: without it, the rest counts for nothing.
func makeSelf(store raft.StableStore, name string) (*self, error) {
	s := &self{store: store, name: name, identity: random()}
	if err := store.Set(keyIdentity, []byte(s.identity)); err != nil {
		return nil, fmt.Errorf("write identity: %w", err)
	}
	if err := store.Set(keyName, []byte(name)); err != nil {
		return nil, fmt.Errorf("write name: %w", err)
	}
	return s, nil
}

// read is a value of the store, "" if there is none.
func read(store raft.StableStore, key []byte) (string, error) {
	b, err := store.Get(key)
	if err != nil && err.Error() != "not found" { // that is how Raft itself tells
		return "", fmt.Errorf("read %s: %w", key, err)
	}
	return string(b), nil
}

func random() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// id is what Raft knows this node by.
func (s *self) id() raft.ServerID { return idOf(s.name, s.identity) }

func idOf(name, identity string) raft.ServerID { return raft.ServerID(name + "/" + identity) }

// nameOf is the name in an ID of Raft's.
func nameOf(id raft.ServerID) string {
	name, _, _ := strings.Cut(string(id), "/")
	return name
}

// belongs is the cluster of this node, "" if none.
func (s *self) belongs() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cluster
}

// join makes this node one of the cluster. A claim by another cluster counts no more if nothing came of it: no
// state, and not a word spoken with its members.
func (s *self) join(cluster string, hasState bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case cluster == "":
		return errors.New("no cluster named")
	case s.cluster == cluster:
		return nil
	case hasState:
		return fmt.Errorf("%s holds the data of another cluster: move its data folder away first", s.name)
	case s.spoken:
		return fmt.Errorf("%s has spoken with another cluster: restart it if that one is gone for good", s.name)
	}
	if err := s.store.Set(keyCluster, []byte(cluster)); err != nil {
		return fmt.Errorf("write cluster: %w", err)
	}
	s.cluster = cluster
	return nil
}

// admit lets a member of the cluster speak to Raft.
func (s *self) admit(wants raft.ServerID, cluster string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case wants != s.id() && nameOf(wants) == s.name:
		return fmt.Errorf("%s is here with other data than the cluster knows it by; the old data are lost: "+
			"`salve raft remove %s`, then `salve raft add`", s.name, s.name)
	case wants != s.id():
		return fmt.Errorf("this is %s", s.name)
	case s.cluster == "" || s.cluster != cluster:
		return fmt.Errorf("%s is of another cluster", s.name)
	}
	s.spoken = true
	return nil
}
