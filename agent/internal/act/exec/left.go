package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/pkg/incident"
)

// attemptVariable marks every process of an attempt's program: it is in their environment.
const attemptVariable = "SALVE_ATTEMPT="

// goneWithin bounds how long what was killed may take to be gone.
const goneWithin = 5 * time.Second

// groupOf is the name of the control group of an attempt's program.
func groupOf(attempt string) string { return "exec-" + filepath.Base(attempt) }

// Quiet reports whether no process is left of the attempt's program.
func (k Kind) Quiet(a *incident.Attempt) bool {
	pids, err := left("/proc", a.ID)
	return err == nil && len(pids) == 0 && (k.home == "" || program.Empty(k.home, groupOf(a.ID)))
}

// errChanging says that a process is becoming another program, and that nobody can tell whose it is until it has.
var errChanging = errors.New("a process is in the middle of a system call exec")

// left finds the processes of the attempt below a proc folder. Processes of other users cannot be read; none of them is of
// a program that this agent started. Errors: errChanging, beside what was found.
func left(proc, attempt string) (pids []int, err error) {
	found, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "environ"))
	if err != nil || len(found) == 0 {
		return nil, errors.Join(errors.New("no process can be seen"), err)
	}
	for _, path := range found {
		dir := filepath.Dir(path)
		pid, _ := strconv.Atoi(filepath.Base(dir))
		env, unread := os.ReadFile(path)
		switch {
		case pid <= 1 || unread != nil:
		case marked(env, attempt):
			pids = append(pids, pid)
		case len(env) == 0 && changing(dir):
			err = errChanging
		}
	}
	return pids, err
}

// changing reports whether the process in the folder, whose environment is empty, may be in the middle of an exec. It is
// empty for as long as the new program's is not in place, which on a busy machine may take a while, and so is the place for
// it in its stat.
func changing(dir string) bool {
	if _, err := os.Readlink(filepath.Join(dir, "exe")); err != nil {
		return false // it has ended, or is one of the kernel's
	}
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return false
	}
	begin, end := kind.StatField(stat, 50), kind.StatField(stat, 51)
	return end != "" && (end == "0" || begin != end)
}

// marked reports whether an environment is that of a process of the attempt.
func marked(env []byte, attempt string) bool {
	mark := []byte(attemptVariable + attempt + "\x00")
	return bytes.HasPrefix(env, mark) || bytes.Contains(env, append([]byte{0}, mark...))
}

// sweep kills what is left of an attempt's program: what left its process group, or outlived the agent that started it. It
// looks again until nothing is left, because what forks may do so between the look and the kill.
func sweep(ctx context.Context, attempt string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goneWithin)
	defer cancel()
	var pids []int
	var err error
	if !kind.Eventually(ctx, 2*time.Millisecond, func() bool {
		pids, err = left("/proc", attempt)
		for _, pid := range pids {
			end(pid, attempt)
		}
		return err == nil && len(pids) == 0
	}) {
		return errors.Join(fmt.Errorf("%d processes that the program left do not die", len(pids)), err)
	}
	return nil
}

// end kills the process if it is still the one that was found: the handle is taken before it is looked at once more.
func end(pid int, attempt string) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err == nil && marked(env, attempt) {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}
