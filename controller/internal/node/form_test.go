package node

import (
	"errors"
	"strings"
	"testing"
)

// waitsFor waits until a node says why it has no cluster.
func (f *fleet) waitsFor(name, why string) {
	f.t.Helper()
	n := f.nodes[name]
	eventually(f.t, name+" waits: "+why, func() bool {
		err := n.Healthy()
		return errors.Is(err, ErrWaiting) && strings.Contains(err.Error(), why)
	})
}

// clusters counts the different clusters that the running nodes have data of.
func (f *fleet) clusters() int {
	found := map[string]bool{}
	for _, n := range f.nodes {
		if n.hasState() {
			found[n.self.belongs()] = true
		}
	}
	return len(found)
}

// TestFormed: no cluster before all are there, and then one, whose first by name began it.
func TestFormed(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.start("ctl-3", "ctl-1")
	f.waitsFor("ctl-1", "2 of 3 nodes are here")
	f.waitsFor("ctl-3", "2 of 3 nodes are here")
	if f.clusters() != 0 {
		t.Fatal("formed without a node")
	}
	f.start("ctl-2")
	f.agree(f.fill(1))
	for name, n := range f.nodes {
		if len(n.Peers()) != 3 || n.self.belongs() != f.nodes["ctl-1"].self.belongs() {
			t.Errorf("%s: %+v", name, n.Peers())
		}
		if began := strings.Contains(f.logs[name].String(), "a cluster is formed"); began != (name == "ctl-1") {
			t.Errorf("%s began the cluster: %t", name, began)
		}
	}
}

// TestFormedThoughTheFirstDies: whoever forms the cluster for all crashes in the middle, and comes back with its disk
// or without. There is one cluster in the end.
func TestFormedThoughTheFirstDies(t *testing.T) {
	for _, wiped := range []bool{false, true} {
		f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
		f.start(f.names...)
		second := f.nodes["ctl-2"].self
		eventually(t, "a claim", func() bool { return second.belongs() != "" })
		f.abort("ctl-1")
		if wiped && f.clusters() == 0 {
			f.wipe("ctl-1")
			second.mu.Lock()
			second.spoken = false // as after a restart of its process
			second.mu.Unlock()
		}
		f.start("ctl-1")
		f.agree(f.commit(pause("x")))
		if f.clusters() != 1 {
			t.Errorf("wiped %t: %d clusters", wiped, f.clusters())
		}
	}
}

// TestNotFormedWhileOnePeerIsBlind: everybody has to see everybody, for what they form they all have to run.
func TestNotFormedWhileOnePeerIsBlind(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.lines["ctl-3"].cut(true) // it answers, and reaches nobody
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.waitsFor("ctl-1", "ctl-3 does not see the same nodes")
	f.waitsFor("ctl-3", "1 of 3 nodes are here")
	if f.clusters() != 0 {
		t.Error("formed with a blind node")
	}
	f.lines["ctl-3"].cut(false)
	f.agree(f.commit(pause("x")))
}

// TestNoSecondCluster: a node that has a peer with data forms none, also when all the others have lost theirs.
func TestNoSecondCluster(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(3))
	for _, name := range []string{"ctl-1", "ctl-2"} {
		f.abort(name)
		f.wipe(name)
	}
	f.start("ctl-1", "ctl-2")
	for _, name := range []string{"ctl-1", "ctl-2"} {
		f.waitsFor(name, "the cluster knows "+name+" by data that are lost or elsewhere")
	}
	if f.nodes["ctl-1"].hasState() || f.nodes["ctl-2"].hasState() {
		t.Error("two wiped nodes made a cluster beside the third, which has data")
	}
	if err := f.nodes["ctl-3"].Propose(entry(t, pause("x"))).Error(); err == nil {
		t.Error("a node alone committed with two wiped ones")
	}
}

// TestOtherPeersList: a newcomer that lists members of a cluster waits to be added, whatever it expects.
func TestOtherPeersList(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(3))
	f.place("aaa-4") // it would be the first by name
	f.tune = func(o *Options) { o.Peers = []string{f.peers[1], f.peers[2]} }
	f.start("aaa-4")
	f.waitsFor("aaa-4", "has a cluster already: `salve raft add aaa-4")
	f.add("aaa-4")
	f.agree(f.commit(pause("x")))
	eventually(t, "a healthy node", func() bool { return f.nodes["aaa-4"].Healthy() == nil })
	if peers := f.leader().Peers(); f.clusters() != 1 || len(peers) != 4 {
		t.Errorf("%d clusters, %d peers", f.clusters(), len(peers))
	}
}

// TestClaims: a node belongs to one cluster, and to another only while nothing came of the first.
func TestClaims(t *testing.T) {
	s := newSelf(t)
	if err := s.join("aaa", false); err != nil {
		t.Fatal(err)
	}
	if err := s.join("bbb", false); err != nil {
		t.Errorf("the first cluster never was: %v", err)
	}
	if err := s.admit(s.id(), "aaa"); err == nil {
		t.Error("a member of the cluster that it left was let in")
	}
	if err := s.join("ccc", true); err == nil {
		t.Error("a node with data changed sides")
	}
	if err := s.admit(s.id(), "bbb"); err != nil {
		t.Error(err)
	}
	if err := s.join("ccc", false); err == nil {
		t.Error("a node that spoke with its cluster changed sides")
	}
	if err := s.join("bbb", true); err != nil {
		t.Errorf("the same cluster again: %v", err)
	}
	if err := s.admit(idOf(s.name, "another"), "bbb"); err == nil || !strings.Contains(err.Error(), "salve raft remove") {
		t.Errorf("under an identity that is not its own: %v", err)
	}
	if err := s.join("", false); err == nil {
		t.Error("no cluster is no cluster")
	}
	again, err := loadSelf(s.store, s.name, true)
	if err != nil || again.id() != s.id() || again.belongs() != "bbb" {
		t.Errorf("after a restart: %+v, %v", again, err)
	}
}
