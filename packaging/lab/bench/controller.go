package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/salveops/salve/packaging/lab/bench/control"
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
	where := machine(firstLine(o.Control.Etcd, "--version"), runtime.Version(), firstLine(b.Controller(), "--version"))
	where.Command, where.Seed = o.Command, o.Seed
	return &ControllerBench{opts: o.Common, where: where, bench: b}, nil
}

// Run measures everything and writes the report.
func (c *ControllerBench) Run(ctx context.Context) error {
	fmt.Fprintf(c.opts.Log, "seed %d\n", c.opts.Seed)
	result, err := c.bench.Run(ctx)
	if err != nil {
		return err
	}
	var benches []GoBench
	if c.opts.GoBench {
		fmt.Fprintln(c.opts.Log, "go benchmarks")
		if benches, err = goBenchmarks(ctx, controllerPackages); err != nil {
			return err
		}
	}
	c.where.Ended = time.Now()
	var b strings.Builder
	fmt.Fprintf(&b, "%sCommand: `%s`. ", c.where.headline(), c.where.Command)
	b.WriteString(result.Markdown())
	goTable(&b, benches)
	fmt.Fprintln(c.opts.Log, b.String())
	return writeBetween(c.opts.Out, b.String())
}
