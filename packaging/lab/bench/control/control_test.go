package control

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/load"
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
		Sessions: []int{4, 20}, Rest: time.Second, Lost: time.Second, Seed: 1, Log: io.Discard,
	}
}

// The peer that Salve is held against runs for real: three members take puts, one is stopped for a moment,
// the leader is killed, the next put is committed, and the member comes back.
func TestEtcd(t *testing.T) {
	b := &Bench{opts: quick(t), dir: t.TempDir(), dice: rand.New(rand.NewPCG(1, 1))}
	if err := b.round(t.Context(), b.etcd(), 3); err != nil {
		t.Fatal(err)
	}
	for _, callers := range []int{1, 4} {
		c := b.result.cell(nameEtcd, 3, callers)
		if c == nil || c.rate(load.Put) <= 0 || c.took(load.Put).Quantile(0.5) <= 0 || c.cores() <= 0 || c.rate(load.Grant) != 0 {
			t.Errorf("%d callers: %+v", callers, c)
		}
	}
	if err := b.losses(t.Context(), b.etcd(), 1); err != nil {
		t.Fatal(err)
	}
	if k := b.result.kill(nameEtcd); len(k.Took) != 1 || k.Took[0] < 100*time.Millisecond || k.Stalls != 1 {
		t.Errorf("the loss of a leader: %+v", k)
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) > 0 {
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
