package agent

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settleTime is how long after the start its garbage and its pages are given back.
const settleTime = 3 * time.Second

// gcPercent trades a little CPU for a heap that stays near what is alive: the agent allocates hardly
// anything between two ticks.
const gcPercent = 50

// slim gives back what only the start needed: garbage of the loader, and the pages of the program file
// with code that ran once. The kernel reads a page again, from its cache, if it is needed after all.
func (a *agent) slim(ctx context.Context) error {
	debug.SetGCPercent(gcPercent)
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-timer.C:
	}
	debug.FreeOSMemory()
	if err := forgetProgram(); err != nil {
		a.log.Debug("pages of the program stay resident", "error", err)
	}
	return nil
}

// forgetProgram drops the read-only mappings of the own executable from this process's memory.
func forgetProgram() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	for line := range bytes.Lines(maps) {
		if err := forgetMapping(strings.Fields(string(line)), exe); err != nil {
			return err
		}
	}
	return nil
}

// forgetMapping handles one line of /proc/self/maps: "START-END PERM OFFSET DEV INODE PATH". Only what is
// mapped from the file and cannot be written is dropped: nothing of it can be lost.
func forgetMapping(fields []string, exe string) error {
	if len(fields) < 6 || fields[5] != exe || strings.Contains(fields[1], "w") || !strings.HasPrefix(fields[1], "r") {
		return nil
	}
	from, to, _ := strings.Cut(fields[0], "-")
	start, err := strconv.ParseUint(from, 16, 64)
	if err != nil {
		return fmt.Errorf("read mapping: %w", err)
	}
	end, err := strconv.ParseUint(to, 16, 64)
	if err != nil {
		return fmt.Errorf("read mapping: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_DONTNEED); errno != 0 {
		return fmt.Errorf("give back pages: %w", errno)
	}
	return nil
}
