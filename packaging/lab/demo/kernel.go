package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// hasCPUController reports whether the process sits in its unit's own cgroup of the CPU controller.
// Without that, systemd accepts a quota and nothing comes of it.
func hasCPUController(pid int, unit string) bool {
	src, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(src)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 || !strings.HasSuffix(parts[2], "/"+unit) {
			continue
		}
		for _, c := range strings.Split(parts[1], ",") {
			if c == "cpu" {
				return true
			}
		}
		if parts[1] == "" && hasWord(filepath.Join("/sys/fs/cgroup", parts[2], "cgroup.controllers"), "cpu") {
			return true
		}
	}
	return false
}

func hasWord(path, word string) bool {
	src, err := os.ReadFile(path)
	return err == nil && strings.Contains(" "+strings.TrimSpace(string(src))+" ", " "+word+" ")
}

// cpuShare is how much of one CPU a process uses for d, by the kernel's accounting.
func cpuShare(ctx context.Context, pid int, d time.Duration) (float64, error) {
	start := time.Now()
	before, err := rig.CPU(pid)
	if err != nil {
		return 0, err
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := rig.CPU(pid)
	return (after - before).Seconds() / time.Since(start).Seconds(), err
}

// keepAsking sends a patient one piece of work each period, one after another, until it is stopped.
func keepAsking(p *rig.Patient, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			one, done := context.WithTimeout(ctx, 10*every)
			_, _ = p.Get(one, "/work") // the service counts what fails
			done()
		}
	}()
	return func() { cancel(); <-ended }
}
