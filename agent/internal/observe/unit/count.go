package unit

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/procfile"
	"github.com/salveops/salve/agent/internal/observe/psi"
	"github.com/salveops/salve/agent/internal/observe/source"
)

// tasks reads the number of threads, from the pids controller or by counting them.
type tasks struct {
	file   *procfile.File // nil: procs
	procs  *processes
	handle *source.Handle
}

func (t *tasks) read(now time.Duration, b *source.Batch, buf []byte) error {
	if t.file == nil {
		n, err := t.procs.threads(now, buf)
		if err == nil {
			b.Set(t.handle, now, float64(n))
		}
		return err
	}
	text, err := t.file.Read(buf)
	if err != nil {
		return err
	}
	n, ok := first(text)
	if !ok {
		return unix.EINVAL
	}
	b.Set(t.handle, now, float64(n))
	return nil
}

func (t *tasks) signals() []*source.Handle { return compact(t.handle) }

func (t *tasks) close() {
	closeAll(t.file)
	t.procs.close()
}

// files counts the open files of the unit's processes. Those of other users can be counted only with
// CAP_SYS_PTRACE.
type files struct {
	procs  *processes
	handle *source.Handle
}

func (f *files) read(now time.Duration, b *source.Batch, buf []byte) error {
	n, err := f.procs.files(now, buf)
	if err == nil {
		b.Set(f.handle, now, float64(n))
	}
	return err
}

func (f *files) signals() []*source.Handle { return compact(f.handle) }

func (f *files) close() { f.procs.close() }

// events reads what the kernel counts and announces: processes that it killed for lack of memory, and those that a limit
// kept from starting.
type events struct {
	file   *procfile.File // memory.events, memory.oom_control, pids.events
	key    string         // of the count in the file
	handle *source.Handle
	stop   func() // ends the watch; nil: there is none
}

func (e *events) read(now time.Duration, b *source.Batch, buf []byte) error {
	text, err := e.file.Read(buf)
	if err != nil {
		return err
	}
	n, ok := procfile.Value(text, e.key)
	b.Maybe(e.handle, now, float64(n), ok) // kernels before 4.13 do not count OOM kills
	return nil
}

func (e *events) signals() []*source.Handle { return compact(e.handle) }

func (e *events) close() {
	e.file.Close()
	if e.stop != nil {
		e.stop()
	}
}

// pressure reads one pressure file of the version 2 group.
type pressure struct {
	gauge      *psi.Gauge
	some, full *source.Handle // nil: not needed
}

func (p *pressure) read(now time.Duration, b *source.Batch, buf []byte) error {
	share, err := p.gauge.Read(now, buf)
	if err != nil || share.Early {
		return err
	}
	if p.some != nil {
		b.Maybe(p.some, now, share.Some, share.Known)
	}
	if p.full != nil {
		b.Maybe(p.full, now, share.Full, share.Known && share.HasFull)
	}
	return nil
}

func (p *pressure) signals() []*source.Handle { return compact(p.some, p.full) }

func (p *pressure) close() { p.gauge.Close() }
