package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// hasCPUController reports whether the process sits in its unit's own cgroup of the CPU controller.
// Without that, systemd accepts a quota and nothing comes of it.
func hasCPUController(pid int, unit string) bool {
	dir := cpuCgroup(pid)
	return strings.HasSuffix(dir, "/"+unit)
}

// cpuCgroup is the folder of the CPU controller that a process sits in, "" if it is in none.
func cpuCgroup(pid int) string {
	src, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(src)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		controllers, path := parts[1], parts[2]
		if slices.Contains(strings.Split(controllers, ","), "cpu") {
			return filepath.Join("/sys/fs/cgroup", controllers, path)
		}
		dir := filepath.Join("/sys/fs/cgroup", path)
		if controllers == "" && hasWord(filepath.Join(dir, "cgroup.controllers"), "cpu") {
			return dir
		}
	}
	return ""
}

// cpuLimit is how many CPUs the kernel lets the cgroup of a process use; false: as many as there are.
func cpuLimit(pid int) (float64, bool) {
	dir := cpuCgroup(pid)
	text := contents(dir, "cpu.max") // "QUOTA PERIOD"
	if text == "" {
		text = contents(dir, "cpu.cfs_quota_us") + " " + contents(dir, "cpu.cfs_period_us")
	}
	var quota, period float64
	if n, _ := fmt.Sscan(text, &quota, &period); n != 2 || quota <= 0 || period <= 0 {
		return 0, false
	}
	return quota / period, true
}

// prefer gives what runs below a private manager a greater part of the CPUs than its neighbours on this machine get: on
// a busy one nobody could eat a whole CPU, and there would be nothing to hold. Where that cannot be had, it is left.
func prefer(manager int) {
	dir := managerCgroup(manager)
	for name, weight := range map[string]string{"cpu.shares": "65536", "cpu.weight": "6400"} {
		if contents(dir, name) != "" {
			_ = os.WriteFile(filepath.Join(dir, name), []byte(weight), 0)
		}
	}
}

// managerCgroup is the folder of the CPU controller that was made for a private manager, "" if there is none.
func managerCgroup(manager int) string {
	dir := cpuCgroup(manager)
	for dir != "" && !strings.HasPrefix(filepath.Base(dir), "salve-") {
		if dir = filepath.Dir(dir); dir == "/" {
			return ""
		}
	}
	return dir
}

// contents is what a file of the kernel says, "" if it cannot be read.
func contents(dir, name string) string {
	src, err := os.ReadFile(filepath.Join(dir, name))
	if dir == "" || err != nil {
		return ""
	}
	return strings.TrimSpace(string(src))
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
