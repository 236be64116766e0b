package unit

import (
	"path/filepath"
	"slices"

	"github.com/salveops/salve/agent/internal/observe/procfile"
	"github.com/salveops/salve/agent/internal/observe/psi"
	"github.com/salveops/salve/agent/internal/observe/source"
)

// signals is everything that this package can sample of a unit.
var signals = []string{
	"unit.cpu", "unit.throttled", "unit.memory_bytes", "unit.memory_ratio", "unit.tasks", "unit.fds", "unit.oom_kills",
	"unit.refused_tasks",
	"unit.psi.cpu.some", "unit.psi.cpu.full", "unit.psi.memory.some", "unit.psi.memory.full",
	"unit.psi.io.some", "unit.psi.io.full",
}

// Costly reports whether a signal should be sampled only when a rule reads it.
func Costly(signal string) bool {
	return signal == "unit.fds" || len(signal) > 9 && signal[:9] == "unit.psi."
}

// opening chooses the sources of one unit.
type opening struct {
	*unit
	s     *Sampler
	at    place
	procs *processes // made when the first reader needs it
}

// open finds the unit's files and chooses a reader for each part that is needed. Nothing is opened
// yet: each file is when it is first read.
func (u *unit) open(s *Sampler) error {
	at, err := s.opt.Layout.place(u.run)
	if err != nil {
		return err
	}
	o := &opening{unit: u, s: s, at: at}
	u.readers = []reader{}
	for _, choose := range []func() reader{o.cpu, o.mem, o.tasks, o.files, o.oom, o.refused} {
		if r := choose(); r != nil {
			u.readers = append(u.readers, r)
		}
	}
	for _, kind := range []string{"cpu", "memory", "io"} {
		if r := o.pressure(kind); r != nil {
			u.readers = append(u.readers, r)
		}
	}
	return nil
}

// handle is the handle of a signal that is needed, else nil.
func (o *opening) handle(signal string) *source.Handle {
	i := slices.IndexFunc(o.handles, func(h *source.Handle) bool { return h.Key.Signal == signal })
	if i < 0 {
		return nil
	}
	return o.handles[i]
}

// file is the named file of a folder; nil if folder is "" or the file does not exist.
func (o *opening) file(folder, name string) *procfile.File {
	if folder == "" {
		return nil
	}
	path := filepath.Join(folder, name)
	if existing(path) == "" {
		return nil
	}
	return procfile.New(path)
}

func (o *opening) processes() *processes {
	if o.procs == nil {
		o.procs = newProcesses(o.s.opt.Layout.root, o.at.main())
	}
	return o.procs
}

func (o *opening) cpu() reader {
	c := &cpu{use: o.handle("unit.cpu"), throttled: o.handle("unit.throttled")}
	if c.use == nil && c.throttled == nil {
		return nil
	}
	c.limits = o.file(o.at.v1["cpu"], "cpu.stat")
	if c.stat = o.file(o.at.unified, "cpu.stat"); c.stat != nil {
		return c
	}
	if c.account = o.file(o.at.v1["cpuacct"], "cpuacct.usage"); c.account == nil {
		c.procs = o.processes()
	}
	return c
}

func (o *opening) mem() reader {
	m := &memory{bytes: o.handle("unit.memory_bytes"), ratio: o.handle("unit.memory_ratio"), host: o.s.opt.Layout.memory}
	if m.bytes == nil && m.ratio == nil {
		return nil
	}
	o.unit.memory = m
	if m.current = o.file(o.at.unified, "memory.current"); m.current != nil {
		m.stat, m.inactive = o.file(o.at.unified, "memory.stat"), "inactive_file"
		m.max = o.file(o.at.unified, "memory.max")
		return m
	}
	if folder := o.at.v1["memory"]; folder != "" {
		m.current = o.file(folder, "memory.usage_in_bytes")
		m.stat, m.inactive = o.file(folder, "memory.stat"), "total_inactive_file"
		m.max = o.file(folder, "memory.limit_in_bytes")
	}
	if m.current == nil {
		m.procs = o.processes()
	}
	return m
}

func (o *opening) tasks() reader {
	t := &tasks{handle: o.handle("unit.tasks")}
	if t.handle == nil {
		return nil
	}
	if t.file = o.file(o.at.unified, "pids.current"); t.file == nil {
		t.file = o.file(o.at.v1["pids"], "pids.current")
	}
	if t.file == nil {
		t.procs = o.processes()
	}
	return t
}

func (o *opening) files() reader {
	h := o.handle("unit.fds")
	if h == nil {
		return nil
	}
	return &files{handle: h, procs: o.processes()}
}

// oom is nil where nobody counts the unit's OOM kills; its signal stays unknown then.
func (o *opening) oom() reader {
	r := &events{key: "oom_kill", handle: o.handle("unit.oom_kills")}
	if r.handle == nil {
		return nil
	}
	if r.file = o.file(o.at.unified, "memory.events"); r.file != nil {
		o.watch(r)
		return r
	}
	folder := o.at.v1["memory"]
	if r.file = o.file(folder, "memory.oom_control"); r.file == nil {
		return nil
	}
	if watch := o.s.opt.Watch; watch != nil {
		r.stop, _ = watch.Counted(folder, "memory.oom_control", o.announced()) // if refused, polling sees it
	}
	return r
}

// refused is nil where nobody counts the tasks that could not be started; its signal stays unknown then.
func (o *opening) refused() reader {
	r := &events{key: "max", handle: o.handle("unit.refused_tasks")}
	if r.handle == nil {
		return nil
	}
	if r.file = o.file(o.at.unified, "pids.events"); r.file != nil {
		o.watch(r)
		return r
	}
	if r.file = o.file(o.at.v1["pids"], "pids.events"); r.file == nil { // of which nothing is announced
		return nil
	}
	return r
}

// watch has changes of the file announced; if that is refused, polling sees them.
func (o *opening) watch(e *events) {
	if watch := o.s.opt.Watch; watch != nil {
		e.stop, _ = watch.Modified(e.file.Path(), o.announced())
	}
}

// announced tells that something happened to the unit.
func (o *opening) announced() func() {
	name, tell := o.target.Name, o.s.opt.Events
	return func() { tell(name) }
}

func (o *opening) pressure(kind string) reader {
	p := &pressure{some: o.handle("unit.psi." + kind + ".some"), full: o.handle("unit.psi." + kind + ".full")}
	file := o.file(o.at.unified, kind+".pressure")
	if p.some == nil && p.full == nil || file == nil {
		return nil
	}
	p.gauge = psi.NewGauge(file.Path())
	return p
}
