package dump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/pkg/remedy"
)

// tool is a program that stops a process to read it.
type tool struct {
	name, pack string // of the program and of the package that has it
	args       func(pid, file string) []string
}

// tools are known by how. Neither reads anything that others than the system's packages could have left for it.
var tools = map[string]tool{
	remedy.HowStacks: {"eu-stack", "elfutils", func(pid, _ string) []string { return []string{"-p", pid} }},
	remedy.HowCore: {"gdb", "gdb", func(pid, file string) []string {
		return []string{"-nx", "-batch", "-readnever", "-iex", "set auto-load off", "-iex", "set auto-solib-add off",
			"-ex", "attach " + pid, "-ex", "gcore " + file, "-ex", "detach"}
	}},
}

// whole reports whether gdb made a whole core. It ends well, and says that it has saved one, also when it could not write it;
// what it could not read, such as a page of the kernel's, it says in other words.
func whole(out program.Output) bool {
	for _, failed := range []string{"Failed to write", "writing note section", "cannot close"} {
		if bytes.Contains(out.Stderr, []byte(failed)) {
			return false
		}
	}
	return bytes.Contains(out.Stdout, []byte("Saved corefile")) && !out.Truncated
}

// readerMemory bounds the memory of a tool, in bytes.
const readerMemory = 512 << 20

// commandFor is the command that makes the dump. The kernel ends it when it writes more than it may.
func commandFor(a *remedy.DumpArgs, pid int, file string) ([]string, error) {
	t := tools[a.How]
	path, err := program.Find(t.name)
	if err != nil {
		return nil, fmt.Errorf("%w (package %s)", err, t.pack)
	}
	bound, err := program.Find("prlimit")
	if err != nil {
		return nil, fmt.Errorf("%w (package util-linux)", err)
	}
	limits := []string{bound, fmt.Sprintf("--fsize=%d", a.Most<<20), fmt.Sprintf("--data=%d", readerMemory), "--core=0", path}
	return append(limits, t.args(strconv.Itoa(pid), file)...), nil
}

// trace has a tool read the main process, which stands still meanwhile, into the file. Half a core is none.
func (k Kind) trace(ctx context.Context, s *kind.Step, f *file) error {
	a, was := argsOf(s.Request), s.Before.(evidence).tracee
	handle, err := unix.PidfdOpen(was.PID, 0) // before systemd is asked whose it is
	if err != nil {
		return fmt.Errorf("its main process %d cannot be had: %w", was.PID, err)
	}
	defer unix.Close(handle)
	u, err := k.Systemd.Read(ctx, s.Target)
	if err != nil {
		return told(ctx, err)
	}
	if !was.runs(u) {
		return fmt.Errorf("its main process %d has ended", was.PID)
	}
	if err := roomFor(k.Data, a); err != nil {
		return err
	}
	argv, err := commandFor(a, was.PID, filepath.Join(f.dir, f.name))
	if err != nil {
		return err
	}
	if dog := watchdog(was.PID); dog > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, dog/2, errors.New("half of the time that its watchdog gives it was over"))
		defer cancel()
	}
	ctx, halt := context.WithCancelCause(ctx)
	defer halt(nil)
	go func() {
		select {
		case <-s.Halt:
			halt(kind.ErrHalt)
		case <-ctx.Done():
		}
	}()
	c := program.Cmd{Argv: argv, Timeout: 2 * a.Within} // ctx ends before
	if a.How == remedy.HowStacks {
		c.Stdout = f.out
	}
	out, err := program.Run(ctx, argv[0], c)
	err = result(ctx, a.How, out, err)
	if err != nil {
		err = errors.Join(err, resume(handle))
	}
	if wrong := f.measure(); err == nil {
		err = wrong
	}
	if a.How == remedy.HowCore && err != nil {
		f.size = 0
	}
	return err
}

// result is why what the tool made is not whole; nil: it is.
func result(ctx context.Context, how string, out program.Output, err error) error {
	said := strings.TrimSpace(string(out.Stderr))
	said = said[strings.LastIndexByte(said, '\n')+1:]
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	case out.Code < 0:
		return fmt.Errorf("its reader was killed, as if it had more than max_mib; %.200q", said)
	case out.Code != 0:
		return fmt.Errorf("its reader ended with status %d: %.200q", out.Code, said)
	case how == remedy.HowCore && !whole(out):
		return fmt.Errorf("gdb did not write all of it, as if it had more than max_mib: %.200q", said)
	}
	return nil
}
