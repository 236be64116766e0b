package shed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/pkg/remedy"
)

// look is for how long the use of the CPU is measured.
const look = 500 * time.Millisecond

// ticks are the kernel's units of CPU time in a second, as user space sees them.
const ticks = 100

// measure finds out what each unit uses now: of memory what a stop would give back, which is what its processes do not
// share with files; of the CPU the mean over a short time. Both are summed over processes, since accounting by control
// group may be off, and then systemd knows nothing.
func (k *Kind) measure(ctx context.Context, by string, units []string) ([]use, error) {
	if by == remedy.ByMemory {
		return k.sums(ctx, units, memory)
	}
	began := k.Clock.Now().Boot
	before, err := k.sums(ctx, units, cpuTime)
	if err != nil || len(units) == 0 {
		return nil, err
	}
	select {
	case <-time.After(look):
	case <-ctx.Done():
		return nil, kind.Unknown("what the victims use", context.Cause(ctx))
	}
	uses, err := k.sums(ctx, units, cpuTime)
	if err != nil {
		return nil, err
	}
	took := (k.Clock.Now().Boot - began).Seconds()
	for i := range uses {
		uses[i].amount = max(0, uses[i].amount-before[i].amount) / took
	}
	return uses, nil
}

// sums adds up a figure of the processes of each unit.
func (k *Kind) sums(ctx context.Context, units []string, figure func(pid int) (float64, error)) ([]use, error) {
	uses := make([]use, len(units))
	for i, name := range units {
		u, err := k.Systemd.Current(ctx, name)
		if err != nil {
			return nil, kind.Unknown("what "+name+" uses", err)
		}
		uses[i] = use{name, math.NaN()}
		processes, err := unit.Processes(u.ControlGroup)
		if err != nil || len(processes) == 0 {
			continue
		}
		uses[i].amount = 0
		for _, pid := range processes {
			amount, err := figure(pid)
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // one that ended uses nothing
				uses[i].amount = math.NaN()
			}
			uses[i].amount += amount
		}
	}
	return uses, nil
}

// memory is what the process has in memory and shares with no file, in bytes.
func memory(pid int) (float64, error) {
	f, err := fields(pid, "statm", 0)
	if err != nil {
		return 0, err
	}
	return max(0, f[1]-f[2]) * float64(os.Getpagesize()), nil
}

// cpuTime is how long the process has run, with its children that ended, in seconds.
func cpuTime(pid int) (float64, error) {
	f, err := fields(pid, "stat", 11) // user, system, and both of the children
	if err != nil {
		return 0, err
	}
	return (f[0] + f[1] + f[2] + f[3]) / ticks, nil
}

// fields are four numbers of a file of the process, after skipping so many words. The name of the program in "stat" may
// hold anything, and ends with the last parenthesis.
func fields(pid int, file string, skip int) (f [4]float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return f, err
	}
	words := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(words) < skip+len(f) {
		return f, fmt.Errorf("/proc/%d/%s is cut short", pid, file)
	}
	for i := range f {
		if f[i], err = strconv.ParseFloat(string(words[skip+i]), 64); err != nil {
			return f, fmt.Errorf("/proc/%d/%s: %w", pid, file, err)
		}
	}
	return f, nil
}
