// Package unit samples systemd units: CPU, memory, tasks, files, pressure, OOM kills and refused tasks, from the
// files of their control groups, which are kept open. It copes with version 2, version 1 and hybrid
// control groups, and counts the unit's processes one by one where a controller is missing.
package unit

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/source"
)

// Run is one life of a unit, from a start to the stop after it.
type Run struct {
	ControlGroup string // as systemd names it: /system.slice/checkout.service
	InvocationID string
	MainPID      int // 0: none
}

// Watcher tells when the kernel changed something. It is optional: without it, or when it refuses,
// the next sample shows the change.
type Watcher interface {
	// Modified calls fn whenever the kernel announces a change of the file's content.
	Modified(path string, fn func()) (stop func(), err error)
	// Counted calls fn whenever the kernel adds to an event counter of control groups version 1 that
	// belongs to a file of the folder dir.
	Counted(dir, file string, fn func()) (stop func(), err error)
}

// unit is one unit with its open files.
type unit struct {
	target  Target
	run     Run
	running bool

	readers []reader
	memory  reader // one of readers; nil if memory is not needed
	next    time.Duration
	nextMem time.Duration
	handles []*source.Handle // of all signals that are needed
}

// reader reads one part of a unit's figures. It adds samples to b, or returns an error; then its own
// signals are unknown.
type reader interface {
	read(now time.Duration, b *source.Batch, buf []byte) error
	signals() []*source.Handle
	close()
}

// vanished reports whether an error means that the control group or process is gone, as after a
// restart of the unit.
func vanished(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH)
}

// begin starts sampling another life of the unit.
func (u *unit) begin(run Run) {
	if u.running && u.run == run {
		return
	}
	u.close()
	u.run, u.running = run, true
}

// sample adds the unit's figures, all of them or memory only. A unit that vanished is looked for
// again the next time, by the same path.
func (u *unit) sample(s *Sampler, now time.Duration, b *source.Batch, all bool) error {
	if !u.running {
		return nil
	}
	if u.readers == nil {
		if err := u.open(s); err != nil {
			u.unknown(now, b)
			return err
		}
		all = true
	}
	if !all {
		return u.part(u.memory, s, now, b)
	}
	var failed error
	for _, r := range u.readers {
		if err := u.part(r, s, now, b); err != nil {
			failed = err
		}
		if u.readers == nil { // vanished
			break
		}
	}
	return failed
}

func (u *unit) part(r reader, s *Sampler, now time.Duration, b *source.Batch) error {
	had := len(b.Samples)
	err := r.read(now, b, s.buf[:])
	if err == nil {
		return nil
	}
	b.Samples = b.Samples[:had]
	if vanished(err) {
		u.close()
		u.unknown(now, b)
		return err
	}
	for _, h := range r.signals() {
		b.Unknown(h, now)
	}
	return err
}

func (u *unit) unknown(now time.Duration, b *source.Batch) {
	for _, h := range u.handles {
		b.Unknown(h, now)
	}
}

func (u *unit) close() {
	for _, r := range u.readers {
		r.close()
	}
	u.readers, u.memory = nil, nil
}
