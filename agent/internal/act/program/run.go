// Package program runs programs, bounded in time and output, and says which are safe to be run. Whether one may run is
// for package act to say; beside it, package packages asks rpm what is installed.
package program

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/remedy"
)

// Purpose says what a program is run for, and thereby what must permit it.
type Purpose string

// Purposes.
const (
	Probe    Purpose = config.ActionProbe   // an exec probe; allowed by an allow block's exec and "probe"
	Notify   Purpose = config.ActionNotify  // an exec notifier; allowed by exec and "notify"
	Diagnose Purpose = "diagnose"           // a tool that only looks, of those that Tool knows
	Remedy   Purpose = Purpose(remedy.Exec) // an exec remedy; only act runs those
)

// Limits of a program.
const (
	// MaxOutput is how much is kept of each of the two outputs; the rest is read and thrown away.
	MaxOutput = 64 << 10
	// commandTimeout bounds a program that names no time-out.
	commandTimeout = 10 * time.Second
	// pipeWait is how long after the program's end its outputs may be held open by what it left behind.
	pipeWait = 100 * time.Millisecond
)

// Cmd is a program to run.
type Cmd struct {
	Purpose Purpose
	// Argv is the program with its arguments: an absolute path, or for Diagnose the bare name of a tool.
	// No shell reads it.
	Argv []string
	// Env is added to an otherwise clean environment: "NAME=value".
	Env []string
	// Stdin is what the program can read; empty: nothing.
	Stdin []byte
	// Stdout takes what the program prints, all of it; nil: Output does.
	Stdout *os.File
	// Timeout bounds it; default 10 s. Then its whole process group is killed.
	Timeout time.Duration
	// Grace is how long it has to end when it is asked to (SIGTERM) after Timeout; 0: it is not asked.
	Grace time.Duration
	// Group is the control group that it is started in; nil: the agent's own.
	Group *Group
}

// Output is what became of a program that could be started.
type Output struct {
	Stdout, Stderr []byte        // at most MaxOutput each
	Truncated      bool          // there was more
	Code           int           // exit status; -1 when it was killed
	Took           time.Duration // from start to end
}

// ErrTimeout is the cause of the end of whatever took longer than it may.
var ErrTimeout = errors.New("the action took longer than its time-out")

// ErrNotStarted says that nothing of the program ran.
var ErrNotStarted = errors.New("the program did not start")

// Run runs the program at path, in a process group of its own, and waits for its end. An exit status other than 0 is no
// error. Running longer than its time-out is one, with what it printed until then. The program gains no privileges
// by a set-user-ID bit, and dies with this process.
func Run(ctx context.Context, path string, c Cmd) (out Output, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Both hold for the thread that starts the program: what it may gain, and with whom the program dies. It is given to
		// nobody else afterwards.
		runtime.LockOSThread()
		if err = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err == nil {
			out, err = c.run(ctx, path)
			return
		}
		out, err = Output{Code: -1}, fmt.Errorf("%w: give up privileges: %w", ErrNotStarted, err)
	}()
	<-done
	return out, err
}

func (c Cmd) run(ctx context.Context, path string) (Output, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(c.Timeout, commandTimeout), ErrTimeout)
	defer cancel()
	stdout, stderr := &head{}, &head{}
	cmd := exec.Command(path, c.Argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}, c.Env...)
	cmd.Stdin = io.Reader(bytes.NewReader(c.Stdin))
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = pipeWait // from its end on
	if c.Group != nil {
		dir, err := os.Open(c.Group.dir)
		if err != nil {
			return Output{Code: -1}, fmt.Errorf("%w: %w", ErrNotStarted, err)
		}
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}

	began := time.Now()
	if err := ctx.Err(); err != nil {
		return Output{Code: -1}, fmt.Errorf("%w: %w", ErrNotStarted, context.Cause(ctx))
	}
	if err := cmd.Start(); err != nil {
		return Output{Code: -1}, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	ended, late := make(chan struct{}), make(chan bool)
	go func() { late <- c.end(ctx, cmd, ended) }()
	err := cmd.Wait()
	close(ended)
	timedOut := <-late
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // something it left behind still holds its outputs
		_ = signalGroup(cmd, unix.SIGKILL)
	}
	if timedOut {
		_ = signalGroup(cmd, unix.SIGKILL) // it ended when it was asked to, and may have left what did not
	}
	out := Output{
		Stdout: stdout.buf.Bytes(), Stderr: stderr.buf.Bytes(), Truncated: stdout.more || stderr.more,
		Code: cmd.ProcessState.ExitCode(), Took: time.Since(began),
	}
	var status *exec.ExitError
	switch {
	case timedOut:
		return out, fmt.Errorf("run %s: %w", path, context.Cause(ctx))
	case err != nil && !errors.As(err, &status):
		return out, fmt.Errorf("run %s: %w", path, err)
	}
	return out, nil
}

// end ends the program when ctx does, and reports whether it had to.
func (c Cmd) end(ctx context.Context, cmd *exec.Cmd, ended <-chan struct{}) bool {
	select {
	case <-ended:
		return false
	case <-ctx.Done():
	}
	if c.Grace > 0 {
		_ = signalGroup(cmd, unix.SIGTERM)
		grace := time.NewTimer(c.Grace)
		defer grace.Stop()
		select {
		case <-ended:
			return true
		case <-grace.C:
		}
	}
	if c.Group != nil {
		_ = c.Group.kill()
	}
	_ = signalGroup(cmd, unix.SIGKILL)
	return true
}

// signalGroup reaches the program and everything it started that did not leave its group.
func signalGroup(cmd *exec.Cmd, with syscall.Signal) error {
	if cmd.Process == nil || cmd.Process.Pid <= 1 {
		return nil // 0 and 1 would be our own group and everybody
	}
	return unix.Kill(-cmd.Process.Pid, with)
}

// head keeps the beginning of what is written to it.
type head struct {
	buf  bytes.Buffer
	more bool
}

func (h *head) Write(b []byte) (int, error) {
	room := MaxOutput - h.buf.Len()
	if len(b) > room {
		h.more = true
	}
	h.buf.Write(b[:min(room, len(b))])
	return len(b), nil
}
