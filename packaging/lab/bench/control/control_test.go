package control

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/load"
	"github.com/salveops/salve/packaging/lab/rig/rigtest"
	"github.com/salveops/salve/pkg/config"
)

// quick is a run that measures everything and means nothing.
func quick(t *testing.T) Options {
	t.Helper()
	const etcd = "/usr/bin/etcd"
	_, err := os.Stat(etcd)
	agenttest.Require(t, "etcd", err == nil, "install the Debian package etcd-server")
	return Options{
		Controller: "none", Etcd: etcd, Dir: t.TempDir(), Parts: Parts(), Nodes: []int{1, 3}, Callers: []int{1, 4},
		Rounds: 1, Warm: 50 * time.Millisecond, Measure: 200 * time.Millisecond, Kills: 1, Recover: 100 * time.Millisecond,
		Sessions: []int{4, 20}, Rest: 3 * time.Second, Lost: time.Second, Seed: 1, Log: io.Discard,
	}
}

// Everything that make bench measures about the controller, for a second each, with the real programs: every
// figure is there and possible. How good it is, is no matter of tests.
func TestEverythingQuickly(t *testing.T) {
	o := quick(t)
	o.Controller = rigtest.Controller(t)
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range o.Nodes {
		for _, callers := range o.Callers {
			own, peer := r.cell(nameSalve, n, callers), r.cell(nameEtcd, n, callers)
			if own == nil || peer == nil || own.rate(load.Grant) <= 0 || own.rate(load.Settle) <= 0 || peer.rate(load.Put) <= 0 ||
				own.cores() <= 0 || own.perEntry() < 0.5 {
				t.Errorf("%d nodes, %d callers: %+v and %+v", n, callers, own, peer)
			}
		}
	}
	for _, name := range []string{nameSalve, nameFast, nameEtcd} {
		if k := r.kill(name); len(k.Took) != o.Kills || k.Took[0] <= 0 || k.Stalls != o.Kills {
			t.Errorf("%s without its leader: %+v", name, k)
		}
	}
	for i, idle := range r.Idle {
		if idle.Sessions != o.Sessions[i] || idle.RSS <= 0 || idle.Heartbeats == 0 || idle.Connecting <= 0 {
			t.Errorf("at rest: %+v", idle)
		}
	}
	if len(r.Idle) != 2 || r.Storm == nil || len(r.Storm.Took) != 20 || len(r.Kills) != 3 || len(r.Cells) != 8 {
		t.Errorf("figures are missing: %+v", r)
	}
	if text := r.Markdown(); strings.Count(text, "### ") != 4 || !strings.Contains(text, "| leader killed → next grant, fast profile, median |") {
		t.Errorf("report:\n%s", text)
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("data is left behind: %v, %v", left, err)
	}
}

// The files of the nodes are ones that the controller takes, and form one cluster.
func TestSalveConfig(t *testing.T) {
	dir := t.TempDir()
	s := &salve{dir: dir, profile: "fast"}
	ports := []string{
		"127.0.0.1:1001", "127.0.0.1:1002", "127.0.0.1:1003", "127.0.0.1:1004", "127.0.0.1:1005",
		"127.0.0.1:1006", "127.0.0.1:1007", "127.0.0.1:1008", "127.0.0.1:1009",
	}
	for i := range 3 {
		path := filepath.Join(dir, "c.hcl")
		if err := os.WriteFile(path, []byte(s.config(i, 3, ports)), 0o600); err != nil {
			t.Fatal(err)
		}
		c, diags := config.LoadController(path, config.LoadOptions{})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if len(c.Raft.Peers) != 3 || c.Raft.BootstrapExpect != 3 || c.Raft.Profile != config.RaftFast ||
			c.Raft.Peers[i].ID != c.Node || c.Raft.Peers[i].Address != c.Listen.Raft || c.FleetMax < 2048 {
			t.Errorf("node %d: %+v", i, c)
		}
	}
}

func TestOptionsRefuse(t *testing.T) {
	if _, err := New(quick(t)); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Options){
		"no etcd":          func(o *Options) { o.Etcd = "/nowhere/etcd" },
		"unknown part":     func(o *Options) { o.Parts = []string{"magic"} },
		"two nodes":        func(o *Options) { o.Nodes = []int{2} },
		"falling callers":  func(o *Options) { o.Callers = []int{16, 1} },
		"no callers":       func(o *Options) { o.Callers = []int{0} },
		"no rounds":        func(o *Options) { o.Rounds = 0 },
		"no time to watch": func(o *Options) { o.Rest = 0 },
	} {
		o := quick(t)
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Data in memory would make every sync free.
func TestDiskRefusesMemory(t *testing.T) {
	if _, err := disk("/dev/shm"); err == nil {
		t.Error("data in memory was taken for a disk")
	}
	if _, err := disk("/nowhere"); err == nil {
		t.Error("a folder that is not there was taken")
	}
}
