package rig

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Program is a child that dies with the lab: a Salve agent, a Monit.
type Program struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended; to be read after done
	stop sync.Once
}

// stopTime is how long a program may take to stop before it is killed.
const stopTime = 10 * time.Second

// StartProgram runs argv with env and writes what it prints to the file log.
func StartProgram(argv, env []string, log string) (*Program, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	p := &Program{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, out, out
	// A group of its own keeps the terminal's Ctrl-C away from it: the lab stops things in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error, 1)
	go func() {
		// Pdeathsig is tied to the thread that forked, so that thread has to live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		_ = out.Close()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	return p, nil
}

// PID is the process of the program.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Program) Done() <-chan struct{} { return p.done }

// Stop ends the program with SIGTERM, and with SIGKILL when it takes too long. It may be called twice.
func (p *Program) Stop() {
	p.stop.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(stopTime):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	})
}

// Agent is a running salve-agent.
type Agent struct {
	*Program
	Socket string // of its local API
}

// AgentOptions say how to run an agent.
type AgentOptions struct {
	Binary  string // salve-agent
	Config  string // agent.hcl
	Systemd string // address of the manager
	Socket  string // that the configuration names
	Log     string // file that takes what the agent logs
}

// StartAgent runs an agent and returns when its socket answers.
func StartAgent(ctx context.Context, o AgentOptions) (*Agent, error) {
	argv := []string{o.Binary, "--config", o.Config, "--systemd", o.Systemd}
	p, err := StartProgram(argv, os.Environ(), o.Log)
	if err != nil {
		return nil, err
	}
	if err := awaitSocket(ctx, o.Socket, p.done); err != nil {
		p.Stop()
		return nil, fmt.Errorf("start agent: %w\n%s", err, LastLines(o.Log, 15))
	}
	return &Agent{Program: p, Socket: o.Socket}, nil
}

func awaitSocket(ctx context.Context, path string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("unix", path)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-ended:
			return fmt.Errorf("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("no answer on its socket: %w", err)
		}
	}
}
