package main

import (
	"context"
	"errors"
	"syscall"

	"github.com/salveops/salve/packaging/lab/rig"
)

const (
	leakLimit = 48 << 20 // bytes; an idle patient has 8 MiB
	leakMiB   = "64"     // what a leaking patient takes at once
)

// fault is one way to break a patient, and how to see that it is well again.
type fault struct {
	name    string
	inflict func(ctx context.Context, p *rig.Patient, pid int) error
	healed  func(rig.Answer) bool // asked of 200s from a new process only
}

func anyAnswer(rig.Answer) bool { return true }

var (
	crash = fault{name: "crash", healed: anyAnswer,
		inflict: func(_ context.Context, _ *rig.Patient, pid int) error { return send(pid, syscall.SIGKILL) }}
	hang = fault{name: "hang", healed: anyAnswer,
		inflict: func(_ context.Context, _ *rig.Patient, pid int) error { return send(pid, syscall.SIGSTOP) }}
	hangSingle = fault{name: "hang, single miss", healed: anyAnswer, inflict: hang.inflict}
	leak       = fault{name: "leak", inflict: takeMemory, healed: belowLimit}
)

// send refuses process IDs that mean groups or everyone.
func send(pid int, sig syscall.Signal) error {
	if pid <= 1 {
		return errors.New("no process to signal")
	}
	return syscall.Kill(pid, sig)
}

// takeMemory returns when the patient is over the limit. A tool may be so quick that it ends the
// patient before it could answer: that is no failure of the fault.
func takeMemory(ctx context.Context, p *rig.Patient, pid int) error {
	err := p.Fault(ctx, "leak?mib="+leakMiB)
	if err != nil && ctx.Err() == nil {
		if a, again := p.AwaitNew(ctx, pid); again == nil && a.PID != pid {
			return nil
		}
	}
	return err
}

func belowLimit(a rig.Answer) bool {
	m, err := rig.MemoryOf(a.PID)
	return err == nil && m.RSS < leakLimit
}
