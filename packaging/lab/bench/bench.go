package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
)

// Options of a run about the agent. There are no hidden defaults; main's flags have them.
type Options struct {
	Common
	Agent   string // salve-agent; "": beside this program
	Service string // lab service; "": beside this program
	Monit   string
	Tools   []string // "salve", "monit", "systemd"
	Sizes   []int    // numbers of services
	Tries   int
	Rest    time.Duration // how long each tool is watched at rest
}

func (o *Options) validate() error {
	var err error
	if o.Service == "" {
		if o.Service, err = rig.Sibling("lab-service"); err != nil {
			return err
		}
	}
	if o.Agent == "" && slices.Contains(o.Tools, "salve") {
		if o.Agent, err = rig.Sibling("salve-agent"); err != nil {
			return err
		}
	}
	if slices.Contains(o.Tools, "monit") {
		if _, err := os.Stat(o.Monit); err != nil {
			return fmt.Errorf("%w: install the package monit, or leave it out with --tools", err)
		}
	}
	for _, t := range o.Tools {
		if !slices.Contains([]string{"salve", "monit", "systemd"}, t) {
			return fmt.Errorf("--tools %s: know salve, monit and systemd", t)
		}
	}
	for _, n := range o.Sizes {
		if n < 4 {
			return fmt.Errorf("--services %d: at least 4, so that each fault has patients of its own", n)
		}
	}
	if o.Tries < 1 {
		return errors.New("--tries: at least 1")
	}
	return nil
}

// Bench is one run about the agent.
type Bench struct {
	opts   Options
	dice   *rand.Rand
	result Result
}

// New checks the options.
func New(o Options) (*Bench, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Bench{opts: o, dice: rand.New(rand.NewPCG(uint64(o.Seed), 0))}, nil
}

// Run measures everything and writes the report.
func (b *Bench) Run(ctx context.Context) error {
	b.logf("seed %d", b.opts.Seed)
	b.result.Machine = describe(b.opts)
	for _, n := range b.opts.Sizes {
		if err := b.size(ctx, n); err != nil {
			return fmt.Errorf("%d services: %w", n, err)
		}
	}
	if b.opts.GoBench {
		b.logf("go benchmarks")
		var err error
		if b.result.Go, err = goBenchmarks(ctx, ".", agentPackages); err != nil {
			return err
		}
	}
	b.result.Machine.Ended = time.Now()
	report := b.result.Markdown()
	fmt.Fprintln(b.opts.Log, report)
	return writeBetween(b.opts.Out, "bench", report)
}

// size measures all tools at one number of services.
func (b *Bench) size(ctx context.Context, n int) (err error) {
	manager, err := agenttest.StartManager(ctx, agenttest.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, manager.Stop()) }()
	w, err := newWard(ctx, manager, b.opts.Service, n)
	if err != nil {
		return err
	}
	defer w.close()
	b.logf("%d services answer", n)

	tools := b.tools(w)
	for round := range b.opts.Tries {
		b.dice.Shuffle(len(tools), func(i, j int) { tools[i], tools[j] = tools[j], tools[i] })
		for _, t := range tools {
			if err := b.round(ctx, w, t, round); err != nil {
				return fmt.Errorf("%s: %w", t.name(), err)
			}
		}
	}
	for _, t := range tools {
		if !t.resident() {
			continue
		}
		u, err := atRest(ctx, w, t, b.opts.Rest)
		if err != nil {
			return fmt.Errorf("%s at rest: %w", t.name(), err)
		}
		b.logf("%d services, %s at rest: %.2f CPU s/min, %.1f MiB", n, t.name(), u.CPU, mib(u.Memory.RSS))
		b.result.rest(t.name(), n, u)
	}
	return nil
}

func (b *Bench) tools(w *ward) []tool {
	var all []tool
	for _, name := range b.opts.Tools {
		switch name {
		case "salve":
			all = append(all, &salve{title: nameSalve, binary: b.opts.Agent, ward: w})
		case "monit":
			all = append(all, &monit{binary: b.opts.Monit, ward: w})
		case "systemd":
			all = append(all, &restarter{ward: w, group: w.at0}, &restarter{ward: w, group: w.atDefault})
		}
	}
	return all
}

const (
	settle = 4 * time.Second // from a tool's start to the first fault: every tool has seen everything
	pause  = 2 * time.Second // between two faults: a tool has finished with the one before
	giveUp = 20 * time.Second

	logLines = 30 // of a tool that did not heal
)

// round starts one tool, breaks one patient in each way that the tool can heal, and stops it.
func (b *Bench) round(ctx context.Context, w *ward, t tool, round int) error {
	if err := t.start(ctx); err != nil {
		return err
	}
	defer t.stop()
	if t.resident() {
		wait(ctx, settle)
	}
	for _, f := range t.faults() {
		wait(ctx, b.phase())
		took, err := b.try(ctx, f, t.patient(f, round))
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil {
			b.logf("%s, %s: %v\n%s", t.name(), f.name, err, t.log())
			if err := w.repair(ctx); err != nil {
				return err
			}
		} else {
			b.logf("%d services, %s, %s: %d ms", w.size, t.name(), f.name, took.Milliseconds())
		}
		b.result.add(t.name(), w.size, f.name, took, err == nil)
		if t.resident() {
			wait(ctx, pause)
		}
	}
	return ctx.Err()
}

// phase is a random part of a second, the cycle of all tools: faults do not wait for cycles.
func (b *Bench) phase() time.Duration { return time.Duration(b.dice.Int64N(int64(time.Second))) }

// try breaks p and measures until it answers again as f wants it.
func (b *Bench) try(ctx context.Context, f fault, p *rig.Patient) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	before, err := p.AwaitAny(ctx)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := f.inflict(ctx, p, before.PID); err != nil {
		return 0, err
	}
	_, err = p.Await(ctx, func(a rig.Answer) bool { return a.PID != before.PID && f.healed(a) })
	return time.Since(start), err
}

// atRest starts a tool, lets it come to rest, and takes its figures over d.
func atRest(ctx context.Context, w *ward, t tool, d time.Duration) (Usage, error) {
	if err := t.start(ctx); err != nil {
		return Usage{}, err
	}
	defer t.stop()
	wait(ctx, 2*settle)
	return usage(ctx, t.pid(), w.manager.PID(), d)
}

func (b *Bench) logf(format string, args ...any) {
	fmt.Fprintf(b.opts.Log, format+"\n", args...)
}

// wait returns after d, or at once when ctx ends; the caller's next step notices that.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
