package dump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/unit"
)

// pause lies between two looks.
const pause = 200 * time.Millisecond

// sample looks at every thread of the control group, so many times: what is the same each time is what it waits for.
func sample(ctx context.Context, w io.Writer, group string, times int, halted func() error) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := 1; ; i++ {
		pids, err := unit.Processes(group)
		if err != nil {
			return err
		}
		slices.Sort(pids)
		for _, pid := range pids {
			if err := process(w, i, pid, halted); err != nil {
				return err
			}
		}
		if i == times {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// process writes one look at the threads of a process; nothing of one that has ended.
func process(w io.Writer, look, pid int, halted func() error) error {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, t := range threads {
		if err := halted(); err != nil {
			return err
		}
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if _, err := w.Write(thread(look, pid, tid)); err != nil {
			return err
		}
	}
	return nil
}

// thread is one look at a thread.
func thread(look, pid, tid int) []byte {
	var b bytes.Buffer
	at := fmt.Sprintf("/proc/%d/task/%d/", pid, tid)
	status, err := os.ReadFile(at + "status")
	if err != nil {
		return nil // it has ended
	}
	fmt.Fprintf(&b, "sample %d process %d thread %d\n", look, pid, tid)
	for line := range strings.Lines(string(status)) {
		switch name, _, _ := strings.Cut(line, ":"); name {
		case "Name", "State", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches":
			b.WriteString("  " + line)
		}
	}
	for _, name := range []string{"wchan", "syscall", "stack"} {
		text, err := os.ReadFile(at + name)
		if err != nil {
			text = []byte("not seen: " + cause(err))
		}
		for line := range strings.Lines(strings.TrimRight(string(text), "\n")) {
			fmt.Fprintf(&b, "  %s: %s\n", name, strings.TrimRight(line, "\n"))
		}
	}
	return b.Bytes()
}

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// cause is the error without the path, which stands above it.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return err.Error()
}
