package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/salveops/salve/controller/internal/node/nodetest"
)

// TestWipedVoter: a voter whose disk is lost does not vote and does not count, though it has its old name and
// address, until a person removes and adds it.
func TestWipedVoter(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(3))
	wiped := f.followers()[0].Name()
	f.abort(wiped)
	f.wipe(wiped)
	f.start(wiped)
	f.waitsFor(wiped, "`salve raft remove "+wiped+"`")

	// Without the third there are two of three, and one of them does not count.
	leader := f.leader()
	third := ""
	for _, name := range f.names {
		if name != wiped && name != leader.Name() {
			third = name
		}
	}
	f.abort(third)
	eventually(t, "no leader", func() bool { return !leader.IsLeader() })
	if n := f.nodes[wiped]; n.hasState() || n.Term() != 0 {
		t.Fatalf("the wiped node took part: term %d", n.Term())
	}
	f.start(third)
	eventually(t, "a problem with the wiped node", func() bool {
		for _, p := range f.leader().Peers() {
			if p.Name == wiped {
				return strings.Contains(p.Problem, "the old data are lost")
			}
		}
		return false
	})

	err := f.leader().AddPeer(context.Background(), wiped, f.lines[wiped].address)
	if !errors.Is(err, ErrMember) || !strings.Contains(err.Error(), "`salve raft remove "+wiped+"` first") {
		t.Errorf("added without being removed: %v", err)
	}
	f.remove(wiped)
	f.add(wiped)
	f.agree(f.commit(pause("added")))
	f.abort(third) // now it counts
	f.agree(f.commit(pause("counts")))
}

// TestRemovedNode: it says that it is no member, keeps quiet, and can come back with its data.
func TestRemovedNode(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(1))
	out := f.followers()[0]
	if err := f.leader().RemovePeer(context.Background(), "ctl-9"); !errors.Is(err, ErrMember) {
		t.Errorf("removed a stranger: %v", err)
	}
	f.remove(out.Name())
	f.commit(pause("without"))
	if peers := f.leader().Peers(); len(peers) != 2 {
		t.Errorf("peers %+v", peers)
	}
	f.add(out.Name())
	f.agree(f.commit(pause("back")))
	eventually(t, "it is healthy again", func() bool { return out.Healthy() == nil })
}

// TestLeaderRemovesItself: another leads, and the removed one knows it.
func TestLeaderRemovesItself(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(1))
	var old *Node
	f.lead("the leader removes itself", func(leader *Node) error {
		old = leader
		return old.RemovePeer(context.Background(), old.Name())
	})
	eventually(t, "the removed node says so", func() bool { return errors.Is(old.Healthy(), ErrMember) })
	f.close(old.Name())
	f.agree(f.commit(pause("without")))
}

// TestStrangersAreNotAdded: the name has to fit, and foreign data stay where they are.
func TestStrangersAreNotAdded(t *testing.T) {
	f, other := newFleet(t, "ctl-1"), newFleet(t, "ctl-7")
	f.start("ctl-1")
	other.start("ctl-7")
	f.fill(1)
	other.fill(1)
	leader := f.leader()
	for _, tc := range []struct{ name, address, want string }{
		{"ctl-2", other.lines["ctl-7"].address, "the node there is ctl-7"},
		{"ctl-7", other.lines["ctl-7"].address, "data of another cluster"},
		{"ctl-2", "127.0.0.1:1", "refused"},
		{"ctl-2", "192.0.2.1:7601", "plain text"},
	} {
		if err := leader.AddPeer(context.Background(), tc.name, tc.address); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("add %s at %s: %v, want %q in it", tc.name, tc.address, err, tc.want)
		}
	}
	other.fill(1)
}

// TestFolderOfAnother: a folder belongs to the node that made it, whole or not at all.
func TestFolderOfAnother(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2")
	f.tune = func(o *Options) { noTrail(o); o.Peers, o.BootstrapExpect = nil, 1 }
	f.start("ctl-1")
	f.agree(f.fill(3))
	snapshot(t, f.nodes["ctl-1"])
	f.close("ctl-1")

	o := f.options("ctl-2")
	o.Dir = f.dirs["ctl-1"]
	if _, err := Open(context.Background(), o); !errors.Is(err, ErrFolder) || !strings.Contains(err.Error(), `that of node "ctl-1"`) {
		t.Errorf("another name: %v", err)
	}
	if err := os.Remove(filepath.Join(f.dirs["ctl-1"], logFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), f.options("ctl-1")); !errors.Is(err, ErrFolder) || !strings.Contains(err.Error(), "a part of it was lost") {
		t.Errorf("snapshots without the log: %v", err)
	}
}

// TestMembersGiven: with a transport of the test's own, the members are given.
func TestMembersGiven(t *testing.T) {
	f := newFleet(t)
	var members []raft.Server
	transports := map[string]*raft.InmemTransport{}
	names := []string{"ctl-1", "ctl-2", "ctl-3"}
	for _, name := range names {
		address, tr := raft.NewInmemTransport("")
		transports[name] = tr
		members = append(members, raft.Server{ID: raft.ServerID(name), Address: address})
	}
	for i, name := range names {
		for j := range names {
			transports[name].Connect(members[j].Address, transports[names[j]])
		}
		o := Options{Name: name, Profile: "fast", FSM: newFSM(t), Log: (&logBuffer{}).logger(name), Transport: transports[name],
			Members: members, Store: nodetest.NewMemStore(), Snapshots: nodetest.NewMemSnapshots()}
		n, err := Open(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Abort)
		f.nodes[name] = n
		f.logs[name] = &logBuffer{}
		if n.Address() != string(members[i].Address) {
			t.Errorf("address %q", n.Address())
		}
	}
	f.agree(f.fill(3))
	if err := f.leader().AddPeer(context.Background(), "ctl-4", "x"); err == nil {
		t.Error("added somebody who cannot be greeted")
	}
}
