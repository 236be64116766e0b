package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/pkg/incident"
)

// The environment of a test binary that is an agent.
const (
	configFile = "SALVE_TEST_CONFIG"
	systemdBus = "SALVE_TEST_SYSTEMD"
	dieAt      = "SALVE_TEST_DIE_AT" // number or name of the point at which it kills itself; unset: never
)

// beAgent is the main function of that process.
func beAgent() int {
	// A file that would exceed the limit is an error to be told, as a full disk is, and no end.
	signal.Ignore(syscall.SIGXFSZ)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	o := Options{
		ConfigFile: os.Getenv(configFile), Systemd: os.Getenv(systemdBus),
		Log: hclog.New(&hclog.LoggerOptions{Level: hclog.Debug}),
	}
	if end := os.Getenv(dieAt); end != "" {
		seam := points{at: func(n int, name string) {
			if name == end || strconv.Itoa(n) == end {
				fmt.Fprintln(os.Stderr, "killed at:", name)
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}}
		o.step, o.memory = seam.reach, seam.memory
	}
	if err := Run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// points numbers the moments of an agent's attempts: the beginning of each step, and before and after each
// record that goes to disk.
type points struct {
	at func(n int, name string) // called at each point; n counts from 1

	mu sync.Mutex
	n  int
}

func (p *points) reach(name string) {
	p.mu.Lock()
	p.n++
	n := p.n
	p.mu.Unlock()
	p.at(n, name)
}

func (p *points) memory(j *journal.Journal) memory { return watched{j, p} }

// watched is a journal with points.
type watched struct {
	*journal.Journal
	points *points
}

func (w watched) PutAttempt(a *incident.Attempt) error {
	w.points.reach(fmt.Sprintf("before %s of %s is on disk", a.Phase, a.Remedy))
	err := w.Journal.PutAttempt(a)
	w.points.reach(fmt.Sprintf("after %s of %s is on disk", a.Phase, a.Remedy))
	return err
}

// process is an agent of its own.
type process struct {
	*phone
	cmd  *exec.Cmd
	log  *logText
	done chan struct{} // closed when it has ended
}

// spawn starts an agent as a process, and returns when its socket answers.
func (h *host) spawn(env ...string) *process {
	h.t.Helper()
	p := h.fork(env...)
	h.awaitSocket(p.done, func() string { return p.log.String() })
	p.phone = h.call()
	return p
}

// fork starts an agent as a process and does not wait for anything.
func (h *host) fork(env ...string) *process {
	h.t.Helper()
	p := &process{cmd: exec.Command(os.Args[0]), log: newLog(h.t), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), configFile+"="+h.file("agent.hcl"), systemdBus+"="+h.bus)
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // ProcessState tells
	}()
	h.t.Cleanup(func() { p.signal(syscall.SIGKILL) })
	return p
}

// signal sends a signal; SIGKILL and SIGTERM wait for the end and return the exit code, -1 for a signal.
func (p *process) signal(sig syscall.Signal) int {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic(err)
	}
	if sig == syscall.SIGKILL || sig == syscall.SIGTERM {
		<-p.done
		return p.cmd.ProcessState.ExitCode()
	}
	return 0
}

// awaitDeath waits for a process that kills itself.
func (p *process) awaitDeath(t testing.TB) {
	t.Helper()
	agenttest.Eventually(t, func() bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	}, "the agent has killed itself")
}
