// Package evidence collects what a person wants to see first when something is wrong: who uses CPU
// and memory, in which states the connections are, what the kernel killed, how a unit stands. It runs
// when an incident opens, so it is bounded in time and size and reads as little as it can.
package evidence

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/salveops/salve/agent/internal/observe/procfile"
)

const (
	// mostProcesses bounds how many processes are looked at.
	mostProcesses = 4096
	// span is over how long the CPU use of processes is measured.
	span = 20 * time.Millisecond // an action may be waiting for the answer
	// hertz is the number of ticks that the kernel shows programs for a second.
	hertz = 100
)

// Process is one process with what it uses.
type Process struct {
	PID     int
	Name    string
	CPU     float64 // CPUs in use over the last moment: 1 is one CPU
	Memory  uint64  // resident bytes
	Threads int
	ticks   uint64
}

// Top are the processes that use most CPU and most memory, greatest first. It measures for a moment.
// With an error, what could be had until then is returned.
func Top(ctx context.Context, root string, n int) (byCPU, byMemory []Process, err error) {
	before, err := processes(ctx, root)
	if err != nil {
		return nil, nil, err
	}
	start := time.Now()
	wait := time.NewTimer(span)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
	after, err := processes(ctx, root)
	seconds := time.Since(start).Seconds()
	for i := range after {
		p := &after[i]
		j, ok := slices.BinarySearchFunc(before, p.PID, func(p Process, pid int) int { return cmp.Compare(p.PID, pid) })
		if ok && p.ticks >= before[j].ticks && seconds > 0 {
			p.CPU = float64(p.ticks-before[j].ticks) / hertz / seconds
		}
	}
	byMemory = slices.Clone(after)
	slices.SortFunc(byMemory, func(a, b Process) int {
		return cmp.Or(cmp.Compare(b.Memory, a.Memory), cmp.Compare(a.PID, b.PID))
	})
	slices.SortFunc(after, func(a, b Process) int {
		return cmp.Or(cmp.Compare(b.CPU, a.CPU), cmp.Compare(a.PID, b.PID))
	})
	return after[:min(n, len(after))], byMemory[:min(n, len(byMemory))], err
}

// processes lists all processes in the order of their numbers. One file each has all that is needed.
func processes(ctx context.Context, root string) ([]Process, error) {
	dir := filepath.Join("/", root, "proc")
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := folder.Readdirnames(-1)
	if err = errors.Join(err, folder.Close()); err != nil {
		return nil, err
	}
	var list []Process
	buf := make([]byte, 4096)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if ctx.Err() != nil || len(list) == mostProcesses {
			break
		}
		f := procfile.New(filepath.Join(dir, name, "stat"))
		text, err := f.Read(buf)
		f.Close()
		if err != nil {
			continue // it ended meanwhile
		}
		if p, ok := parseProcess(text); ok {
			p.PID = pid
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b Process) int { return cmp.Compare(a.PID, b.PID) })
	return list, ctx.Err()
}

// parseProcess reads /proc/PID/stat. The program's name in parentheses may hold anything, also
// parentheses and blanks.
func parseProcess(b []byte) (Process, bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return Process{}, false
	}
	p := Process{Name: string(b[open+1 : end])}
	user, rest, ok1 := procfile.Uint(procfile.Skip(b[end+1:], 11))
	system, rest, ok2 := procfile.Uint(rest)
	threads, rest, ok3 := procfile.Uint(procfile.Skip(rest, 4))
	pages, _, ok4 := procfile.Uint(procfile.Skip(rest, 3))
	p.ticks, p.Threads, p.Memory = user+system, int(threads), pages*uint64(os.Getpagesize())
	return p, ok1 && ok2 && ok3 && ok4
}
