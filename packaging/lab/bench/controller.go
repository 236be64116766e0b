package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/salveops/salve/packaging/lab/bench/control"
	"github.com/salveops/salve/packaging/lab/rig"
)

// ControllerOptions of a run about the controller.
type ControllerOptions struct {
	Common
	Control control.Options
}

// ControllerBench is one run about the controller.
type ControllerBench struct {
	opts  Common
	where Machine
	bench *control.Bench
}

// NewController checks the options.
func NewController(o ControllerOptions) (*ControllerBench, error) {
	b, err := control.New(o.Control)
	if err != nil {
		return nil, err
	}
	where := Machine{Machine: rig.ThisMachine(rig.FirstLine(o.Control.Etcd, "--version"), runtime.Version(),
		rig.FirstLine(b.Controller(), "--version"))}
	where.Command, where.Seed = o.Command, o.Seed
	return &ControllerBench{opts: o.Common, where: where, bench: b}, nil
}

// Run measures everything and writes the report.
func (c *ControllerBench) Run(ctx context.Context) error {
	fmt.Fprintf(c.opts.Log, "seed %d\n", c.opts.Seed)
	result, failed := c.bench.Run(ctx)
	if result == nil {
		return failed
	}
	var benches []GoBench
	if c.opts.GoBench {
		fmt.Fprintln(c.opts.Log, "go benchmarks")
		var err error
		if benches, err = goBenchmarks(ctx, ".", controllerPackages); err != nil {
			return errors.Join(failed, err)
		}
	}
	c.where.Ended = time.Now()
	var b strings.Builder
	fmt.Fprintf(&b, "%sCommand: `%s`. ", c.where.Headline(), c.where.Command)
	b.WriteString(result.Markdown())
	goTable(&b, benches)
	fmt.Fprintln(c.opts.Log, b.String())
	return errors.Join(failed, writeBetween(c.opts.Out, "bench", b.String()))
}
