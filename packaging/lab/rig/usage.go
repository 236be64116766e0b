package rig

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the unit of times in /proc/PID/stat; Linux fixes it to 1/100 s for programs.
const clockTick = time.Second / 100

// CPU is the processor time that a process has used, to the nanosecond, and that of its ended and reaped children, to
// clock ticks.
func CPU(pid int) (time.Duration, error) {
	children, err := childrenCPU(pid)
	if err != nil {
		return 0, err
	}
	var own unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &own); err != nil {
		return 0, fmt.Errorf("read processor clock of process %d: %w", pid, err)
	}
	return time.Duration(own.Nano()) + children, nil
}

// schedClock is what the kernel calls CPUCLOCK_SCHED, with which clock_getcpuclockid(3) makes the name of a process's
// clock.
const schedClock = 2

func childrenCPU(pid int) (time.Duration, error) {
	src, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses and may hold anything, also ") ".
	fields := strings.Fields(string(src[bytes.LastIndexByte(src, ')')+1:]))
	if len(fields) < 15 {
		return 0, fmt.Errorf("read /proc/%d/stat: too short", pid)
	}
	var ticks int64
	for _, f := range fields[13:15] { // cutime, cstime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// Memory is what a process holds in RAM, in bytes.
type Memory struct {
	RSS int64 // everything, shared pages in full
	PSS int64 // shared pages by share
}

// MemoryOf reads the kernel's sums for a process.
func MemoryOf(pid int) (Memory, error) {
	src, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return Memory{}, err
	}
	var m Memory
	lines := bufio.NewScanner(bytes.NewReader(src))
	for lines.Scan() {
		var kib int64
		if n, _ := fmt.Sscanf(lines.Text(), "Rss: %d kB", &kib); n == 1 {
			m.RSS = kib << 10
		}
		if n, _ := fmt.Sscanf(lines.Text(), "Pss: %d kB", &kib); n == 1 {
			m.PSS = kib << 10
		}
	}
	if m.RSS == 0 {
		return m, fmt.Errorf("read /proc/%d/smaps_rollup: no Rss in it", pid)
	}
	return m, nil
}
