package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// process is one node of a store, which can be killed and started again with its data.
type process struct {
	argv []string
	log  string
	prog *rig.Program // nil: not running
}

func (p *process) start() error {
	var err error
	p.prog, err = rig.StartProgram(p.argv, os.Environ(), p.log)
	return err
}

// alive reports whether it runs.
func (p *process) alive() bool {
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

// kill ends it without a chance to say anything to anybody.
func (p *process) kill() error {
	if !p.alive() {
		return errors.New("kill a node: it does not run")
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.prog.Done()
	p.prog = nil
	return nil
}

// freeze stops it for d: nothing of it runs, and its connections stay.
func (p *process) freeze(ctx context.Context, d time.Duration) error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	wait(ctx, d)
	return p.signal(syscall.SIGCONT)
}

func (p *process) signal(sig syscall.Signal) error {
	if err := syscall.Kill(p.prog.PID(), sig); err != nil {
		return fmt.Errorf("send %v: %w", sig, err)
	}
	return nil
}

// cpu is the processor time of processes together.
func cpu(all []*process) (time.Duration, error) {
	var sum time.Duration
	for _, p := range all {
		d, err := rig.CPU(p.prog.PID())
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// end ends all that run. Their data goes away, so they need not tidy up.
func end(all []*process) {
	for _, p := range all {
		if p.alive() {
			_ = p.kill()
		}
	}
}

// wait returns after d, or at once when ctx ends; the caller's next step notices that.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// poll asks until it is true, for at most readyTime.
func poll(ctx context.Context, what string, ok func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for !ok(ctx) {
		wait(ctx, 10*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		}
	}
	return nil
}

// readyTime is how long nodes may take to come up, elect a leader or catch up.
const readyTime = 60 * time.Second
