package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/salveops/salve/controller/internal/node/nodetest"
)

// disks gives every node of a fleet a store in memory.
func (f *fleet) disks() map[string]*nodetest.MemStore {
	stores, snapshots := map[string]*nodetest.MemStore{}, map[string]*nodetest.MemSnapshots{}
	for _, name := range f.names {
		stores[name], snapshots[name] = nodetest.NewMemStore(), nodetest.NewMemSnapshots()
	}
	f.tune = func(o *Options) { o.Store, o.Snapshots, o.Dir = stores[o.Name], snapshots[o.Name], "" }
	return stores
}

// TestDiskFullOnTheLeader: it steps down, says why, and another leads; with room again it follows, and may lead.
func TestDiskFullOnTheLeader(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	stores := f.disks()
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(3))
	full := f.leader()
	stores[full.Name()].Fail(nodetest.ErrFull)
	if err := full.Propose(entry(t, pause("x"))).Error(); err == nil {
		t.Fatal("committed on a full disk")
	}
	eventually(t, "another leader", func() bool {
		for _, n := range f.nodes {
			if n != full && n.IsLeader() {
				return !full.IsLeader()
			}
		}
		return false
	})
	eventually(t, "it says why", func() bool { // one that was deposed before learns it when it follows
		err := full.Healthy()
		return errors.Is(err, ErrNoStore) && errors.Is(err, nodetest.ErrFull)
	})
	f.commit(pause("without-it"))
	stores[full.Name()].Fail(nil)
	f.agree(f.commit(pause("with-it")))
	eventually(t, "a healthy node", func() bool { return full.Healthy() == nil })
	for name, n := range f.nodes { // each can lead
		if leader := f.leader(); leader != n {
			f.handOver(name)
		}
		f.agree(f.commit(pause("led-by-" + name)))
	}
}

// handOver makes a node the leader.
func (f *fleet) handOver(name string) {
	f.t.Helper()
	eventually(f.t, name+" leads", func() bool {
		return f.nodes[name].IsLeader() || f.leader().Transfer(context.Background(), name) == nil && f.nodes[name].IsLeader()
	})
}

// TestDiskFullOnAFollower: the others go on, also through an election in which it would have a say.
func TestDiskFullOnAFollower(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	stores := f.disks()
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(3))
	full := f.followers()[0]
	stores[full.Name()].Fail(nodetest.ErrFull)
	f.commit(pause("without-it"))
	eventually(t, "a sick node", func() bool { return errors.Is(full.Healthy(), nodetest.ErrFull) })
	old := f.leader()
	for name, n := range f.nodes {
		if n != full && n != old {
			f.handOver(name)
		}
	}
	f.commit(pause("a-term-later"))
	stores[full.Name()].Fail(nil)
	f.agree(f.commit(pause("with-it")))
}

// TestDiskFullWhileClosing: a node whose term waits for the disk can be closed.
func TestDiskFullWhileClosing(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	stores := f.disks()
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(1))
	full := f.leader()
	stores[full.Name()].Fail(nodetest.ErrFull)
	_ = full.Propose(entry(t, pause("x"))).Error()
	for name, n := range f.nodes {
		if n != full {
			f.abort(name)
		}
	}
	f.close(full.Name())
}

// TestCrashLosesWhatWasNotWritten: entries that a node never confirmed are gone with it, those that were committed
// are not, whoever crashes.
func TestCrashLosesWhatWasNotWritten(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	stores := f.disks()
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(3))
	for i := range 3 {
		leader := f.leader()
		name := leader.Name()
		_, before := generationOf(leader)
		resume := stores[name].Stall()
		leader.Propose(entry(t, pause(fmt.Sprintf("lost-%d", i)))) // a Raft that stops need not answer
		after := stores[name].Crash()
		f.abort(name)
		resume()
		stores[name] = after
		f.start(name)
		f.agree(f.commit(pause(fmt.Sprintf("kept-%d", i))))
		if _, pauses := generationOf(f.leader()); pauses != before+1 {
			t.Errorf("%d pauses, want %d: one that never reached a disk, or none", pauses, before+1)
		}
	}
	// All at once, and none hands over.
	want := f.agree(f.commit(pause("all")))
	for _, name := range f.names {
		after := stores[name].Crash()
		f.abort(name)
		stores[name] = after
	}
	f.start(f.names...)
	eventually(t, "the state from before", func() bool { return string(imageOf(t, f.leader())) == string(want) })
}

// TestFollowerThatSaysNo: while entries keep coming, a follower's disk fails and works again, over and over. It gets
// everything in the end.
func TestFollowerThatSaysNo(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	stores := f.disks()
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(1))
	flaky := f.followers()[0]
	stop := make(chan struct{})
	var proposing sync.WaitGroup
	for range 8 {
		proposing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					for _, n := range f.nodes {
						if n.IsLeader() {
							_ = n.Propose(entry(t, pause("x"))).Error()
						}
					}
				}
			}
		})
	}
	for range 40 {
		stores[flaky.Name()].Fail(nodetest.ErrFull)
		eventually(t, "a failed write", func() bool { return flaky.guard.healthy() != nil })
		stores[flaky.Name()].Fail(nil)
		eventually(t, "a write that works", func() bool { return flaky.guard.healthy() == nil })
	}
	close(stop)
	proposing.Wait()
	f.agree(f.commit(pause("last")))
}

// TestCrashedDisk writes nothing more, and can be read: Raft panics when it cannot read an entry, and a node whose
// machine has crashed is closed a moment later.
func TestCrashedDisk(t *testing.T) {
	store := nodetest.NewMemStore()
	if err := store.StoreLog(&raft.Log{Index: 1}); err != nil {
		t.Fatal(err)
	}
	after := store.Crash()
	if err := store.StoreLog(&raft.Log{Index: 2}); !errors.Is(err, nodetest.ErrCrashed) {
		t.Errorf("a write after the crash: %v", err)
	}
	for what, s := range map[string]*nodetest.MemStore{"it": store, "the next process": after} {
		if err := s.GetLog(1, new(raft.Log)); err != nil {
			t.Errorf("%s reads what was written: %v", what, err)
		}
		if err := s.GetLog(2, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
			t.Errorf("%s reads what was not written: %v", what, err)
		}
	}
}
