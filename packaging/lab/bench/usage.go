package main

import (
	"context"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// Usage is what a tool costs at rest.
type Usage struct {
	CPU     float64 // seconds a minute
	Manager float64 // seconds a minute that systemd spends meanwhile, on the tool's questions mostly
	Memory  rig.Memory
}

// usage watches a process for d.
func usage(ctx context.Context, pid, manager int, d time.Duration) (Usage, error) {
	start := time.Now()
	own, err := rig.CPU(pid)
	if err != nil {
		return Usage{}, err
	}
	other, err := rig.CPU(manager)
	if err != nil {
		return Usage{}, err
	}
	wait(ctx, d)
	if err := ctx.Err(); err != nil {
		return Usage{}, err
	}
	ownEnd, err := rig.CPU(pid)
	if err != nil {
		return Usage{}, err
	}
	otherEnd, err := rig.CPU(manager)
	if err != nil {
		return Usage{}, err
	}
	minutes := time.Since(start).Minutes()
	u := Usage{CPU: (ownEnd - own).Seconds() / minutes, Manager: (otherEnd - other).Seconds() / minutes}
	u.Memory, err = rig.MemoryOf(pid)
	return u, err
}
