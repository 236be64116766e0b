package rig

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// Process is a program that is killed, frozen and started again with its data: what crashes and stalled
// machines do. Its methods may be called from several places at once.
type Process struct {
	argv []string
	log  string

	mu   sync.Mutex
	prog *Program // nil: it was never started, or was ended on purpose
}

// NewProcess describes a process; nothing is started. What it prints is added to the file log.
func NewProcess(argv []string, log string) *Process { return &Process{argv: argv, log: log} }

var errNotRunning = errors.New("it does not run")

// Start runs the program. One that runs already is an error.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive() {
		return fmt.Errorf("start %s: it runs already", p.argv[0])
	}
	var err error
	p.prog, err = StartProgram(p.argv, os.Environ(), p.log)
	return err
}

func (p *Process) alive() bool {
	if p.prog == nil {
		return false
	}
	select {
	case <-p.prog.Done():
		return false
	default:
		return true
	}
}

// Fault says that the program ended although nobody ended it, with the end of what it printed; nil if not.
func (p *Process) Fault() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.prog == nil || p.alive() {
		return nil
	}
	return fmt.Errorf("%s ended by itself: %w\n%s", p.argv[0], p.prog.err, LastLines(p.log, 30))
}

// PID is the process that runs, 0 if none does.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.alive() {
		return 0
	}
	return p.prog.PID()
}

// Kill ends it with SIGKILL, frozen or not, and returns when it is gone.
func (p *Process) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.send(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.prog.Done()
	p.prog = nil
	return nil
}

// Stop asks it to end, and kills it when that takes too long. One that does not run is left alone.
func (p *Process) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.prog == nil {
		return
	}
	_ = p.send(syscall.SIGCONT) // a frozen program cannot hear; one that has ended needs not
	p.prog.Stop()
	p.prog = nil
}

// Freeze stops it where it stands: nothing of it runs, and its connections stay.
func (p *Process) Freeze() error { return p.signal(syscall.SIGSTOP) }

// Thaw lets it go on.
func (p *Process) Thaw() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.send(sig)
}

// send is called with the lock held, so that the process is the one that was meant.
func (p *Process) send(sig syscall.Signal) error {
	if !p.alive() {
		return fmt.Errorf("send %v to %s: %w", sig, p.argv[0], errNotRunning)
	}
	if err := syscall.Kill(p.prog.PID(), sig); err != nil {
		return fmt.Errorf("send %v to %s: %w", sig, p.argv[0], err)
	}
	return nil
}
