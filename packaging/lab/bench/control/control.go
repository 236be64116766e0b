// Package control measures the controller beside etcd: permits beside puts, the loss of leaders, and what
// agents cost that are connected and idle. Everything runs on loopback, all data lies on one disk, and both
// sides are driven by the same code.
package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// Parts of a run.
const (
	partPermits  = "permits"
	partFailover = "failover"
	partIdle     = "idle"
)

// Parts are all of them.
var parts = []string{partPermits, partFailover, partIdle}

// Options of a run. There are no hidden defaults; main's flags have them.
type Options struct {
	Controller string // salve-controller; "": beside this program
	Etcd       string
	Dir        string // folder for all data; "": the system's for temporary files
	Parts      []string
	Nodes      []int
	Callers    []int // ascending
	Rounds     int   // of each contender at each number of nodes
	Warm       time.Duration
	Measure    time.Duration // of each round and number of callers
	Kills      int           // of each contender's leader
	Recover    time.Duration // for a node that came back, before the next kill; twice that after a stall
	Sessions   []int         // idle agents
	Rest       time.Duration // how long idle agents are watched
	Lost       time.Duration // how long lost hosts are looked for after a change of leaders
	Seed       int64
	Log        io.Writer // progress
}

// Parts of a run, for a flag's help.
func Parts() []string { return slices.Clone(parts) }

func (o *Options) validate() error {
	var err error
	if o.Controller == "" {
		if o.Controller, err = rig.Sibling("salve-controller"); err != nil {
			return err
		}
	}
	if _, err := os.Stat(o.Etcd); err != nil && o.needsEtcd() {
		return fmt.Errorf("%w: install the Debian package etcd-server", err)
	}
	for _, p := range o.Parts {
		if !slices.Contains(parts, p) {
			return fmt.Errorf("--parts %s: know %v", p, parts)
		}
	}
	for _, n := range o.Nodes {
		if n != 1 && n != 3 && n != 5 {
			return fmt.Errorf("--nodes %d: a cluster has 1, 3 or 5 nodes", n)
		}
	}
	for _, n := range append(slices.Clone(o.Callers), o.Sessions...) {
		if n < 1 {
			return fmt.Errorf("%d callers or sessions are none", n)
		}
	}
	if !slices.IsSorted(o.Callers) {
		return errors.New("--callers: the numbers have to rise, for callers stay connected")
	}
	if o.Rounds < 1 || o.Kills < 1 || o.Measure <= 0 || o.Rest <= 0 || o.Warm < 0 {
		return errors.New("rounds, kills and times: at least one of each")
	}
	return nil
}

func (o *Options) needsEtcd() bool {
	return slices.Contains(o.Parts, partPermits) || slices.Contains(o.Parts, partFailover)
}

// Bench is one run.
type Bench struct {
	opts   Options
	dice   *rand.Rand
	dir    string
	result Result
}

// New checks the options.
func New(o Options) (*Bench, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Bench{opts: o, dice: rand.New(rand.NewPCG(uint64(o.Seed), 1))}, nil
}

// Run measures all parts. One that fails does not keep the others from being measured: then both results are
// set, and the report names what is missing.
func (b *Bench) Run(ctx context.Context) (*Result, error) {
	dir, err := os.MkdirTemp(b.opts.Dir, "salve-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b.dir, b.result.opts = dir, b.opts
	if b.result.Disk, err = disk(dir); err != nil {
		return nil, err
	}
	if b.result.Load, err = loadAverage(); err != nil {
		return nil, err
	}
	var failed error
	for _, p := range parts {
		if !slices.Contains(b.opts.Parts, p) {
			continue
		}
		if err := b.part(ctx, p); err != nil {
			failed = errors.Join(failed, fmt.Errorf("measure %s: %w", p, err))
			b.result.Failed = append(b.result.Failed, p)
			b.logf("measure %s: %v", p, err)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return &b.result, failed
}

func (b *Bench) part(ctx context.Context, name string) error {
	switch name {
	case partPermits:
		return b.throughput(ctx)
	case partFailover:
		return b.failover(ctx)
	}
	if err := b.idle(ctx); err != nil {
		return err
	}
	if len(b.opts.Sessions) == 0 {
		return nil
	}
	return b.storm(ctx, slices.Max(b.opts.Sessions))
}

func (b *Bench) salve(profile string) *salve {
	return &salve{binary: b.opts.Controller, parent: b.dir, profile: profile}
}

func (b *Bench) etcd() *etcdStore { return &etcdStore{binary: b.opts.Etcd, parent: b.dir} }

func (b *Bench) logf(format string, args ...any) { fmt.Fprintf(b.opts.Log, format+"\n", args...) }

// Controller is the program that is measured.
func (b *Bench) Controller() string { return b.opts.Controller }
