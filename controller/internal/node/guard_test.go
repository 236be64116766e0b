package node

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/salveops/salve/controller/internal/node/nodetest"
)

// votes is a store that remembers what was written and fails from the nth write on, as a crash does.
type votes struct {
	Store
	left  int
	wrote []string
}

func (v *votes) Set(key, value []byte) error {
	return v.step(string(key), func() error { return v.Store.Set(key, value) })
}

func (v *votes) SetUint64(key []byte, value uint64) error {
	return v.step(string(key), func() error { return v.Store.SetUint64(key, value) })
}

func (v *votes) step(key string, f func() error) error {
	if v.left == 0 {
		return errors.New("crashed")
	}
	v.left--
	v.wrote = append(v.wrote, key)
	return f()
}

// TestVoteIsWhole: Raft writes a vote in two steps, and a crash between them must not pair the new term with the
// candidate of an older vote: Raft would grant him a vote without a look at his log.
func TestVoteIsWhole(t *testing.T) {
	for crash := range 3 {
		store := nodetest.NewMemStore()
		vote(t, newGuard(store, hclog.NewNullLogger()), 5, "old")
		disk := &votes{Store: store, left: crash}
		g := newGuard(disk, hclog.NewNullLogger())
		err := errors.Join(g.SetUint64([]byte(keyVoteTerm), 6), g.Set([]byte(keyVoteFor), []byte("new")))
		if granted := err == nil; granted != (crash == 2) {
			t.Errorf("crash after %d writes: %v", crash, err)
		}
		term, _ := store.GetUint64([]byte(keyVoteTerm))
		candidate, _ := store.Get([]byte(keyVoteFor))
		if term == 6 && string(candidate) != "new" {
			t.Errorf("crash after %d writes (%v): term 6 with candidate %q", crash, disk.wrote, candidate)
		}
	}
}

// vote writes a vote as Raft does.
func vote(t *testing.T, g *guard, term uint64, candidate string) {
	t.Helper()
	if err := errors.Join(g.SetUint64([]byte(keyVoteTerm), term), g.Set([]byte(keyVoteFor), []byte(candidate))); err != nil {
		t.Fatal(err)
	}
}

// TestRaftWritesVotesAsGuardKnows: the two keys, in this order, nothing in between. If an update of Raft changes
// that, guard has to change with it.
func TestRaftWritesVotesAsGuardKnows(t *testing.T) {
	spy := &votes{Store: nodetest.NewMemStore(), left: -1}
	fsm := newFSM(t)
	config, err := configuration("fast", hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	config.LocalID = "ctl-1"
	address, tr := raft.NewInmemTransport("")
	r, err := raft.NewRaft(config, fsm, spy, spy, nodetest.NewMemSnapshots(), tr)
	if err != nil {
		t.Fatal(err)
	}
	alone := raft.Configuration{Servers: []raft.Server{{ID: "ctl-1", Address: address}}}
	if err := r.BootstrapCluster(alone).Error(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a leader", func() bool { return r.State() == raft.Leader })
	if err := r.Shutdown().Error(); err != nil {
		t.Fatal(err)
	}
	want := []string{keyTerm, keyVoteTerm, keyVoteFor} // the term is written more than once before it
	if !slices.Equal(slices.Compact(spy.wrote), want) {
		t.Errorf("Raft wrote %q, want %q", spy.wrote, want)
	}
}

// TestTermWaitsForTheDisk: Raft would panic if its term could not be written.
func TestTermWaitsForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := nodetest.NewMemStore()
		g := newGuard(store, hclog.NewNullLogger())
		store.Fail(nodetest.ErrFull)
		wrote := make(chan error, 1)
		go func() { wrote <- g.SetUint64([]byte(keyTerm), 7) }()
		synctest.Wait()
		if err := g.waits(); !errors.Is(err, nodetest.ErrFull) {
			t.Errorf("nobody is told that Raft stands still: %v", err)
		}
		time.Sleep(time.Hour)
		store.Fail(nil)
		if err := <-wrote; err != nil {
			t.Error(err)
		}
		if term, err := store.GetUint64([]byte(keyTerm)); term != 7 || err != nil {
			t.Errorf("term %d, %v", term, err)
		}
		if g.waits() != nil || g.healthy() != nil {
			t.Errorf("still unwell: %v, %v", g.waits(), g.healthy())
		}

		store.Fail(nodetest.ErrFull)
		go func() { wrote <- g.SetUint64([]byte(keyTerm), 8) }()
		synctest.Wait()
		g.release()
		if err := <-wrote; err != nil {
			t.Errorf("closing makes Raft panic: %v", err)
		}
	})
}

// TestHealthyTellsOfAHang: a disk that neither works nor fails.
func TestHealthyTellsOfAHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := nodetest.NewMemStore()
		g := newGuard(store, hclog.NewNullLogger())
		resume := store.Stall()
		wrote := make(chan error, 1)
		go func() { wrote <- g.StoreLog(&raft.Log{Index: 1}) }()
		time.Sleep(hangs - time.Second)
		if err := g.healthy(); err != nil {
			t.Errorf("too early: %v", err)
		}
		time.Sleep(2 * time.Second)
		if g.healthy() == nil {
			t.Error("a hanging write is healthy")
		}
		resume()
		if err := <-wrote; err != nil || g.healthy() != nil {
			t.Errorf("after it: %v, %v", err, g.healthy())
		}
	})
}
