package observe

import (
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/psi"
)

// rushEvery is the period of the host's pressure figures where the kernel does not announce pressure.
const rushEvery = 250 * time.Millisecond

// pressureWatch is how sudden pressure on the host is noticed between two samples: announced by the
// kernel, or else by reading more often. Neither is done for pressure that no rule reads.
type pressureWatch struct {
	rush bool // some kind of pressure has to be read more often
	stop []func()
}

// watchPressure replaces the watch by the one that the needs ask for.
func (o *Observer) watchPressure(before *pressureWatch) *pressureWatch {
	if before != nil {
		for _, stop := range before.stop {
			stop()
		}
	}
	w := &pressureWatch{}
	for _, kind := range []string{"cpu", "memory", "io"} {
		if !o.needs.prefix("host.psi." + kind) {
			continue
		}
		stop, err := o.announced(filepath.Join("/", o.opt.Root, "proc/pressure", kind))
		if err != nil {
			w.rush = true
			o.opt.Log.Debug("pressure is not announced, reading it more often", "kind", kind, "error", err)
			continue
		}
		w.stop = append(w.stop, stop)
	}
	return w
}

// announced arms a trigger that takes an extra sample.
func (o *Observer) announced(path string) (stop func(), err error) {
	if o.poller == nil || filepath.Join("/", o.opt.Root) != "/" { // a trigger is written into the file
		return nil, unix.ENOSYS
	}
	fd, err := psi.Trigger(path, psi.Window)
	if err != nil {
		return nil, err
	}
	stop, err = o.poller.Add(fd, unix.EPOLLPRI, func() {
		o.order(func(now time.Duration, b *Batch) { o.host.Pressure(now, b) })
	})
	if err != nil {
		_ = unix.Close(fd)
	}
	return stop, err
}
