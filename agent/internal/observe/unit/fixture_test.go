package unit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
)

const (
	version2 = "30 20 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	version1 = "31 20 0:26 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n" +
		"32 20 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"33 20 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
		"34 20 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
	hybrid = version1 + "35 20 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)

// fakeHost is a tree of files that looks like a host.
type fakeHost struct {
	t    testing.TB
	root string
}

func newHost(t testing.TB, mounts string) *fakeHost {
	h := &fakeHost{t: t, root: t.TempDir()}
	h.write("proc/self/mountinfo", mounts)
	h.write("proc/meminfo", "MemTotal:       1000 kB\n")
	return h
}

func (h *fakeHost) write(name, text string) {
	h.t.Helper()
	path := filepath.Join(h.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// files writes several files of one folder, given as "name: text" lines; " | " stands for a line end.
func (h *fakeHost) files(folder, list string) {
	h.t.Helper()
	for line := range strings.Lines(list) {
		name, text, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if ok {
			h.write(filepath.Join(folder, name), strings.ReplaceAll(text, " | ", "\n")+"\n")
		}
	}
}

func (h *fakeHost) remove(name string) {
	h.t.Helper()
	if err := os.RemoveAll(filepath.Join(h.root, name)); err != nil {
		h.t.Fatal(err)
	}
}

// observed is a sampler of the unit x.service.
type observed struct {
	*Sampler
	book *source.Book
}

const name = "x.service"

func (h *fakeHost) sampler(o Options) *observed {
	h.t.Helper()
	layout, err := Detect(h.root)
	if err != nil {
		h.t.Fatal(err)
	}
	o.Layout = layout
	return newObserved(h.t, o)
}

func newObserved(t testing.TB, o Options) *observed {
	o.Book = source.NewBook()
	s := &observed{Sampler: New(o), book: o.Book}
	t.Cleanup(s.Close)
	s.values(func(b *source.Batch) { s.SetTargets([]Target{{Name: name}}, 0, b) })
	return s
}

// unknown stands for a sample without a value.
const unknown = -1

// values are the samples that fill adds, by signal.
func (s *observed) values(fill func(*source.Batch)) map[string]float64 {
	b := s.book.Batch()
	defer b.Release()
	fill(b)
	m := map[string]float64{}
	for _, v := range b.Samples {
		m[v.Handle.Key.Signal] = unknown
		if v.Known {
			m[v.Handle.Key.Signal] = v.Value
		}
	}
	return m
}

func (s *observed) at(now time.Duration) map[string]float64 {
	return s.values(func(b *source.Batch) { s.Sample(now, b) })
}

// cheap is the default of the agent: what costs more is sampled only if a rule reads it.
func cheap(signal, _ string) bool { return !Costly(signal) }

var firstRun = Run{ControlGroup: "/system.slice/x.service", InvocationID: "1", MainPID: 42}
