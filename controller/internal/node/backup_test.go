package node

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/salveops/salve/controller/internal/fsm"
	"github.com/salveops/salve/controller/internal/state"
)

// generationOf counts what is paused: a commit whose answer was lost in an election may be there twice.
func generationOf(n *Node) (generation string, pauses int) {
	paused := map[string]bool{}
	n.fsm.View(func(s *state.State) {
		generation = s.Generation()
		for _, p := range s.Pauses() {
			paused[p.GetScope()] = true
		}
	})
	return generation, len(paused)
}

// TestSnapshotAndRestart: a node starts from its snapshot and the entries after it.
func TestSnapshotAndRestart(t *testing.T) {
	f := newFleet(t, "ctl-1")
	f.tune = noTrail
	f.start("ctl-1")
	f.fill(5)
	snapshot(t, f.nodes["ctl-1"])
	want := f.agree(f.commit(pause("after")))
	f.abort("ctl-1")
	f.start("ctl-1")
	f.leader()
	if got := imageOf(t, f.nodes["ctl-1"]); !bytes.Equal(got, want) {
		t.Error("another state")
	}
	if first, err := f.nodes["ctl-1"].guard.FirstIndex(); err != nil || first < 5 {
		t.Errorf("the log begins with %d, %v: it was not cut", first, err)
	}
}

// TestFarBehind: a node whose entries are gone gets a snapshot.
func TestFarBehind(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.tune = noTrail
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(1))
	late := f.followers()[0].Name()
	f.abort(late)
	f.commit(pause("missed"))
	for _, n := range f.nodes {
		f.agree(f.commit(pause("seen")))
		snapshot(t, n)
	}
	f.start(late)
	f.agree(f.commit(pause("together")))
	if !strings.Contains(f.logs[late].String(), "Installed remote snapshot") {
		t.Error("it got no snapshot")
	}
}

// TestCorruptSnapshot: a node does not start from a snapshot that the disk spoilt, and says what to do.
func TestCorruptSnapshot(t *testing.T) {
	f := newFleet(t, "ctl-1")
	f.tune = noTrail
	f.start("ctl-1")
	f.fill(5)
	snapshot(t, f.nodes["ctl-1"])
	f.close("ctl-1")
	files, err := filepath.Glob(filepath.Join(f.dirs["ctl-1"], snapshotDir, "*", "state.bin"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	spoilt := bytes.Clone(whole)
	spoilt[len(spoilt)/2] ^= 1
	if err := os.WriteFile(files[0], spoilt, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(context.Background(), f.options("ctl-1"))
	if !errors.Is(err, ErrFolder) || !strings.Contains(err.Error(), "needs a backup") {
		t.Errorf("opened with a spoilt snapshot: %v", err)
	}
	if err := os.WriteFile(files[0], whole, 0o600); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(f.dirs["ctl-1"], snapshotDir, "9-9-9.tmp") // as a crash leaves it
	if err := os.Mkdir(half, 0o700); err != nil {
		t.Fatal(err)
	}
	f.start("ctl-1")
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Errorf("half a snapshot stays for ever: %v", err)
	}
}

// TestLostSnapshot: entries without the snapshot that they follow are no state.
func TestLostSnapshot(t *testing.T) {
	f := newFleet(t, "ctl-1")
	f.tune = noTrail
	f.start("ctl-1")
	f.fill(5)
	snapshot(t, f.nodes["ctl-1"])
	f.fill(1)
	f.close("ctl-1")
	if err := os.RemoveAll(filepath.Join(f.dirs["ctl-1"], snapshotDir)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), f.options("ctl-1")); !errors.Is(err, ErrFolder) || !strings.Contains(err.Error(), "the log begins with") {
		t.Errorf("opened without its snapshot: %v", err)
	}
}

// TestRestore: into the cluster itself, and into a new one; each time a new generation begins in the same step.
func TestRestore(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.start("ctl-1", "ctl-2", "ctl-3")
	backup := f.agree(f.fill(3))
	f.agree(f.commit(pause("after-the-backup")))
	fresh := newFleet(t, "new-1", "new-2", "new-3")
	fresh.start("new-1", "new-2", "new-3")
	fresh.commit(generation("22222222222222222222222222222222", true))
	for _, c := range []*fleet{f, fresh} {
		eventually(t, "a restore", func() bool {
			return c.leader().Restore(context.Background(), bytes.NewReader(backup)) == nil
		})
		c.agree(c.commit(pause("together")))
		for name, n := range c.nodes {
			id, pauses := generationOf(n)
			if id == "" || strings.HasPrefix(id, "1111") || strings.HasPrefix(id, "2222") || pauses != 3+2 { // +1: of the generation
				t.Errorf("%s: generation %q, %d pauses", name, id, pauses)
			}
		}
		name := c.followers()[0].Name()
		c.abort(name)
		c.start(name)
		c.agree(c.commit(pause("after-a-restart")))
	}
}

// TestRestoreTouchesNothing unless the backup is whole and this node leads.
func TestRestoreTouchesNothing(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.start("ctl-1", "ctl-2", "ctl-3")
	backup := f.agree(f.fill(3))
	want := f.agree(f.commit(pause("after-the-backup")))
	spoilt := bytes.Clone(backup)
	spoilt[len(spoilt)/2] ^= 1
	leader := f.leader()
	for what, b := range map[string][]byte{"spoilt": spoilt, "cut off": backup[:len(backup)-1], "empty": nil} {
		if err := leader.Restore(context.Background(), bytes.NewReader(b)); !errors.Is(err, fsm.ErrImage) {
			t.Errorf("%s: %v", what, err)
		}
	}
	name := f.followers()[0].Name()
	for _, other := range f.names { // without them it never leads
		if other != name {
			f.abort(other)
		}
	}
	left := f.nodes[name]
	eventually(t, "nobody leads", func() bool { return !left.IsLeader() })
	if err := left.Restore(context.Background(), bytes.NewReader(backup)); err == nil {
		t.Error("one that does not lead restored")
	}
	if got := imageOf(t, left); !bytes.Equal(got, want) {
		t.Error("the state is another one")
	}
}
