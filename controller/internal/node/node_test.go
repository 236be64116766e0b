package node

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestElectAndApply: three nodes form a cluster, agree, and go on without the leader.
func TestElectAndApply(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(5))
	for _, n := range f.nodes {
		eventually(t, "a healthy node", func() bool { return n.Healthy() == nil })
	}
	old := f.leader()
	f.abort(old.Name())
	f.agree(f.commit(pause("after-the-crash")))
	f.start(old.Name())
	f.agree(f.commit(pause("after-the-restart")))
}

// TestAlone: one node is a cluster as soon as it is open, and again after a restart.
func TestAlone(t *testing.T) {
	f := newFleet(t, "ctl-1")
	f.start("ctl-1")
	want := f.agree(f.fill(5))
	f.close("ctl-1")
	f.start("ctl-1")
	f.leader()
	if got := imageOf(t, f.nodes["ctl-1"]); !bytes.Equal(got, want) {
		t.Error("another state after the restart")
	}
	if peers := f.nodes["ctl-1"].Peers(); len(peers) != 1 || !peers[0].Leader || !peers[0].Self || !peers[0].Voter {
		t.Errorf("peers %+v", peers)
	}
}

// TestPeers: each node knows who is there, who leads, and who was heard.
func TestPeers(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(1))
	eventually(t, "the leader knows everybody, and itself", func() bool {
		leader := f.leader()
		for i, p := range leader.Peers() {
			name := f.names[i]
			if p.Name != name || p.Address != f.lines[name].address || !p.Voter || p.Identity != f.nodes[name].self.identity ||
				p.Leader != (name == leader.Name()) || p.Self != p.Leader || p.LastContact.IsZero() || p.Format == 0 {
				return false
			}
		}
		name, address := leader.Leader()
		return name == leader.Name() && address == leader.Address()
	})
	gone := f.followers()[0]
	f.abort(gone.Name())
	eventually(t, "a problem", func() bool {
		for _, p := range f.leader().Peers() {
			if p.Name == gone.Name() {
				return strings.Contains(p.Problem, "connection refused")
			}
		}
		return false
	})
}

// TestTransfer: to a named member, and to whoever is there when the leader closes.
func TestTransfer(t *testing.T) {
	f := newFleet(t, "ctl-1", "ctl-2", "ctl-3")
	f.tune = func(o *Options) { // Raft gives up a transfer after this time, and a busy machine wants more of it
		o.Tune = func(c *raft.Config) { c.ElectionTimeout = 5 * time.Second }
	}
	f.start("ctl-1", "ctl-2", "ctl-3")
	f.agree(f.fill(1))
	to := f.followers()[0]
	if err := f.leader().Transfer(context.Background(), "ctl-9"); !errors.Is(err, ErrMember) {
		t.Errorf("to a stranger: %v", err)
	}
	err := to.Transfer(context.Background(), f.leader().Name())
	if err == nil && !strings.Contains(f.logs[to.Name()].String(), "entering leader state") {
		t.Error("a follower handed leadership over")
	}
	f.handOver(to.Name())
	f.agree(f.commit(pause("after-the-transfer")))
	name := f.leader().Name()
	f.close(name)
	if log := f.logs[name].String(); strings.Contains(log, "nobody took over") {
		t.Errorf("closing did not hand over:\n%s", log)
	}
	f.agree(f.commit(pause("after-the-close")))
}

// TestSecondProcess: a folder has one process.
func TestSecondProcess(t *testing.T) {
	f := newFleet(t, "ctl-1")
	f.start("ctl-1")
	o := f.options("ctl-1")
	o.Listen = "127.0.0.1:0"
	if _, err := Open(context.Background(), o); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), o.Dir) {
		t.Errorf("a second process: %v", err)
	}
	f.agree(f.fill(1)) // the first goes on
	f.close("ctl-1")
	f.start("ctl-1")
}

// TestFolderIsClosedToOthers, also one that was open.
func TestFolderIsClosedToOthers(t *testing.T) {
	f := newFleet(t, "ctl-1")
	if err := os.MkdirAll(f.dirs["ctl-1"], 0o755); err != nil {
		t.Fatal(err)
	}
	f.start("ctl-1")
	for path, want := range map[string]os.FileMode{"": 0o700, snapshotDir: 0o700, logFile: 0o600, lockFile: 0o600} {
		info, err := os.Stat(filepath.Join(f.dirs["ctl-1"], path))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%q has mode %o, want %o", path, got, want)
		}
	}
}

// TestProposeBounds: an entry has a size.
func TestProposeBounds(t *testing.T) {
	f := newFleet(t, "ctl-1")
	f.start("ctl-1")
	if err := f.leader().Propose(make([]byte, MaxEntry+1)).Error(); !errors.Is(err, ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
}

// TestOptions: what cannot work is refused with the reason.
func TestOptions(t *testing.T) {
	f := newFleet(t, "ctl-1")
	tests := []struct {
		want  string
		spoil func(*Options)
	}{
		{"node name", func(o *Options) { o.Name = "ctl 1" }},
		{"node name", func(o *Options) { o.Name = "a/b" }},
		{"node name", func(o *Options) { o.Name = "a@b" }},
		{"data folder", func(o *Options) { o.Dir = "" }},
		{"line", func(o *Options) { o.Line = nil }},
		{"profile", func(o *Options) { o.Profile = "faster" }},
		{"list exactly the nodes", func(o *Options) { o.BootstrapExpect, o.Peers = 3, []string{"a:1", "b:1", "c:1", "d:1", "e:1"} }},
		{"list exactly the nodes", func(o *Options) { o.BootstrapExpect, o.Peers = 3, []string{"a:1"} }},
		{"2 peers are listed", func(o *Options) { o.BootstrapExpect, o.Peers = 1, []string{"a:1", "b:1"} }},
		{"plain text", func(o *Options) { o.Listen = ":0" }},
	}
	for _, tc := range tests {
		o := f.options("ctl-1")
		f.lines["ctl-1"].release()
		f.lines["ctl-1"].taken = nil
		tc.spoil(&o)
		n, err := Open(context.Background(), o)
		if err == nil {
			n.Abort()
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %q in it", err, tc.want)
		}
	}
}
