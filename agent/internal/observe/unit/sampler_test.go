package unit

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/signal"
)

var approx = cmpopts.EquateApprox(1e-9, 1e-9)

const v2 = "sys/fs/cgroup/system.slice/x.service"

// service is a unit of a host with control groups version 2 and all controllers.
func service(t testing.TB) *fakeHost {
	h := newHost(t, version2)
	h.write("proc/42/cgroup", "0::/system.slice/x.service\n")
	h.files(v2, `
		cgroup.procs: 42
		cpu.stat: usage_usec 1000000 | user_usec 1 | nr_periods 100 | nr_throttled 10 | throttled_usec 5
		memory.current: 400000
		memory.stat: anon 1 | inactive_anon 5 | inactive_file 100000 | active_file 7
		memory.max: max
		memory.events: low 0 | high 0 | max 0 | oom 3 | oom_kill 2
		pids.current: 7
		pids.events: max 3
		cpu.pressure: some avg10=0.00 total=1000 | full avg10=0.00 total=0
		memory.pressure: some avg10=0.00 total=1000 | full avg10=0.00 total=0
		io.pressure: some avg10=0.00 total=1000 | full avg10=0.00 total=0`)
	return h
}

func TestVersion2(t *testing.T) {
	h := service(t)
	s := h.sampler(Options{Needed: func(signal, _ string) bool { return signal != "unit.fds" }})
	s.Started(name, firstRun)
	want := map[string]float64{
		"unit.cpu": unknown, "unit.throttled": unknown,
		"unit.memory_bytes": 300000, "unit.memory_ratio": 300000. / 1024000, "unit.tasks": 7, "unit.oom_kills": 2,
		"unit.refused_tasks": 3,
		"unit.psi.cpu.some":  unknown, "unit.psi.cpu.full": unknown, "unit.psi.memory.some": unknown,
		"unit.psi.memory.full": unknown, "unit.psi.io.some": unknown, "unit.psi.io.full": unknown,
	}
	if diff := cmp.Diff(want, s.at(time.Second), approx); diff != "" {
		t.Errorf("first sample (-want +got):\n%s", diff)
	}
	h.files(v2, `
		cpu.stat: usage_usec 2500000 | nr_periods 110 | nr_throttled 15
		memory.current: 500000
		memory.stat: inactive_file 0
		cpu.pressure: some avg10=0.00 total=501000 | full avg10=0.00 total=250000
		memory.events: oom 4 | oom_kill 3`)
	want = map[string]float64{
		"unit.cpu": 1.5, "unit.throttled": .5, "unit.memory_bytes": 500000, "unit.memory_ratio": 500000. / 1024000,
		"unit.tasks": 7, "unit.oom_kills": 3, "unit.refused_tasks": 3,
		"unit.psi.cpu.some": .5, "unit.psi.cpu.full": .25, "unit.psi.memory.some": 0, "unit.psi.memory.full": 0,
		"unit.psi.io.some": 0, "unit.psi.io.full": 0,
	}
	if diff := cmp.Diff(want, s.at(2*time.Second), approx); diff != "" {
		t.Errorf("second sample (-want +got):\n%s", diff)
	}
}

// A service that writes a log fills the page cache: that is no leak.
func TestPageCacheIsNoMemoryUse(t *testing.T) {
	h := service(t)
	s := h.sampler(Options{Needed: cheap})
	s.Started(name, firstRun)
	s.at(0)
	now := time.Duration(0)
	for total := 400000; total < 900000; total += 10000 {
		now += time.Second
		h.files(v2, "memory.current: "+itoa(total)+"\nmemory.stat: inactive_file "+itoa(total-300000))
		got := s.at(now)["unit.memory_bytes"]
		if got < 300000 || got > 300000*1.05 {
			t.Fatalf("with %d bytes in all, 300000 of its own, the memory is %v", total, got)
		}
	}
}

func TestLimitIsReadAgain(t *testing.T) {
	h := service(t)
	s := h.sampler(Options{Needed: cheap})
	s.Started(name, firstRun)
	h.files(v2, "memory.max: 600000")
	if got := s.at(0)["unit.memory_ratio"]; got != .5 {
		t.Errorf("share of the limit %v, want one half", got)
	}
	h.files(v2, "memory.max: 300000")
	if got := s.at(againEvery + time.Second)["unit.memory_ratio"]; got != 1 {
		t.Errorf("share of the new limit %v, want all", got)
	}
}

const named = "sys/fs/cgroup/systemd/system.slice/x.service"

func TestVersion1(t *testing.T) {
	h := newHost(t, version1)
	h.write("proc/42/cgroup", "5:cpu,cpuacct:/system.slice/x.service\n4:memory:/system.slice/x.service\n"+
		"3:pids:/system.slice/x.service\n1:name=systemd:/system.slice/x.service\n")
	h.files(named, "cgroup.procs: 42")
	h.files("sys/fs/cgroup/cpu,cpuacct/system.slice/x.service",
		"cpuacct.usage: 1000000000\ncpu.stat: nr_periods 0 | nr_throttled 0 | throttled_time 0")
	h.files("sys/fs/cgroup/memory/system.slice/x.service", `
		memory.usage_in_bytes: 400000
		memory.stat: inactive_file 1 | total_inactive_file 100000
		memory.limit_in_bytes: 9223372036854771712
		memory.oom_control: oom_kill_disable 0 | under_oom 0 | oom_kill 1`)
	h.files("sys/fs/cgroup/pids/system.slice/x.service", "pids.current: 3")
	s := h.sampler(Options{})
	s.Started(name, firstRun)
	s.at(time.Second)
	h.files("sys/fs/cgroup/cpu,cpuacct/system.slice/x.service",
		"cpuacct.usage: 1250000000\ncpu.stat: nr_periods 10 | nr_throttled 1 | throttled_time 7")
	want := map[string]float64{
		"unit.cpu": .25, "unit.throttled": .1, "unit.memory_bytes": 300000, "unit.memory_ratio": 300000. / 1024000,
		"unit.tasks": 3, "unit.oom_kills": 1, "unit.fds": unknown,
	}
	// The fake process has no folder of files: it counts as one that just ended.
	if diff := cmp.Diff(want, s.at(2*time.Second), approx); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Where the unit's processes sit in a controller's folder of others, its figures are those of others:
// the processes are counted one by one instead.
func TestForeignControllerDoesNotCount(t *testing.T) {
	h := newHost(t, hybrid)
	h.write("proc/42/cgroup", "5:cpu,cpuacct:/\n4:memory:/container/7\n3:pids:/\n"+
		"1:name=systemd:/system.slice/x.service\n0::/system.slice/x.service\n")
	h.files(named, "cgroup.procs: 42")
	h.files("sys/fs/cgroup/unified/system.slice/x.service",
		"cgroup.procs: 42 | 43\ncgroup.threads: 42 | 43 | 44\ncpu.stat: usage_usec 500")
	for _, c := range []string{"memory", "pids"} { // somebody made folders of that name
		h.files("sys/fs/cgroup/"+c+"/system.slice/x.service", "memory.usage_in_bytes: 1\npids.current: 1")
	}
	h.files("proc/42", "statm: 1000 10 5 1 0 1 0\nstat: 42 (a b) c) S 1 1 1 0 -1 0 0 0 0 0 100 50 0 0 20 0 1")
	h.files("proc/43", "statm: 1000 20 5 1 0 1 0\nstat: 43 (x) S 1 1 1 0 -1 0 0 0 0 0 7 3 0 0 20 0 1")
	s := h.sampler(Options{Needed: cheap})
	s.Started(name, firstRun)
	s.at(time.Second)
	h.files("sys/fs/cgroup/unified/system.slice/x.service", "cpu.stat: usage_usec 1000500")
	bytes := 30 * float64(os.Getpagesize())
	want := map[string]float64{
		"unit.cpu": 1, "unit.throttled": 0, "unit.tasks": 3,
		"unit.memory_bytes": bytes, "unit.memory_ratio": bytes / 1024000,
	}
	if diff := cmp.Diff(want, s.at(2*time.Second), approx); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	h.files("sys/fs/cgroup/unified/system.slice/x.service", "cgroup.procs: 43 | 45")
	h.files("proc/45", "statm: 1000 5 5 1 0 1 0")
	if got := s.at(3 * time.Second)["unit.memory_bytes"]; got != 25*float64(os.Getpagesize()) {
		t.Errorf("after the processes changed, the memory is %v", got)
	}
}

// Without a CPU controller and without version 2, as on RHEL 8, the processes' own times count.
func TestCPUOfProcesses(t *testing.T) {
	h := newHost(t, version1)
	h.write("proc/42/cgroup", "5:cpu,cpuacct:/system.slice\n1:name=systemd:/system.slice/x.service\n")
	h.files(named, "cgroup.procs: 42\ntasks: 42 | 50")
	stat := func(pid, user, system string) {
		h.files("proc/"+pid, "statm: 1 1 1\nstat: "+pid+" (x) S 1 1 1 0 -1 0 0 0 0 0 "+user+" "+system+" 0 0 20 0 1")
	}
	stat("42", "1000", "500")
	s := h.sampler(Options{Needed: cheap})
	s.Started(name, firstRun)
	if got := s.at(time.Second); got["unit.cpu"] != unknown || got["unit.tasks"] != 2 {
		t.Errorf("first sample %v", got)
	}
	stat("42", "1020", "510")
	stat("43", "10", "0") // started since: all of its time counts
	h.files(named, "cgroup.procs: 42 | 43")
	if got := s.at(2 * time.Second)["unit.cpu"]; !cmp.Equal(got, .4, approx) {
		t.Errorf("CPU use %v, want 0.4", got)
	}
	h.remove("proc/42") // and one that ended takes nothing back
	h.files(named, "cgroup.procs: 43")
	if got := s.at(3 * time.Second)["unit.cpu"]; got != 0 {
		t.Errorf("CPU use %v after a process ended, want 0", got)
	}
}

// A restart replaces the control group. Until the new one is there nothing is known; then figures
// start anew, without a difference across the two.
func TestRestartReplacesTheGroup(t *testing.T) {
	h := service(t)
	s := h.sampler(Options{Needed: cheap})
	s.Started(name, firstRun)
	s.at(1 * time.Second)
	s.at(2 * time.Second)
	again := firstRun
	again.InvocationID, again.MainPID = "2", 77
	h.remove(v2)
	s.Started(name, again)
	for signal, v := range s.at(3 * time.Second) {
		if v != unknown {
			t.Errorf("%s = %v without a control group", signal, v)
		}
	}
	if st := s.Stats(); st.Failures != 1 || st.Err == "" {
		t.Errorf("the failure is not told: %+v", st)
	}
	h.write("proc/77/cgroup", "0::/system.slice/x.service\n")
	h.files(v2, "cgroup.procs: 77\ncpu.stat: usage_usec 10\nmemory.current: 5\npids.current: 1")
	got := s.at(4 * time.Second)
	if got["unit.cpu"] != unknown || got["unit.memory_bytes"] != 5 {
		t.Errorf("first sample of the new life: %v", got)
	}
}

func TestGoneUnitIsUnknownAndCostsNothing(t *testing.T) {
	h := service(t)
	s := h.sampler(Options{Needed: cheap})
	s.Started(name, firstRun)
	s.at(time.Second)
	got := s.values(func(b *source.Batch) { s.Gone(name, 2*time.Second, b) })
	for _, signal := range []string{"unit.cpu", "unit.memory_bytes", "unit.tasks", "unit.oom_kills"} {
		if v, ok := got[signal]; !ok || v != unknown {
			t.Errorf("%s = %v (there: %v)", signal, v, ok)
		}
	}
	if got = s.at(3 * time.Second); len(got) != 0 {
		t.Errorf("a unit that is gone is sampled: %v", got)
	}
	if _, ok := s.Next(); ok {
		t.Error("a unit that is gone is due")
	}
}

func TestBrokenFileMakesItsOwnSignalsUnknown(t *testing.T) {
	h := service(t)
	s := h.sampler(Options{Needed: cheap})
	s.Started(name, firstRun)
	s.at(time.Second)
	h.files(v2, "memory.current: nonsense")
	got := s.at(2 * time.Second)
	if got["unit.memory_bytes"] != unknown || got["unit.memory_ratio"] != unknown || got["unit.tasks"] != 7 {
		t.Errorf("%v", got)
	}
}

func TestPeriods(t *testing.T) {
	h := service(t)
	s := h.sampler(Options{Needed: cheap})
	s.values(func(b *source.Batch) {
		s.SetTargets([]Target{{Name: name, Every: time.Second, Memory: 250 * time.Millisecond}}, 0, b)
	})
	s.Started(name, firstRun)
	var all, memory int
	for now := time.Duration(0); now < 4*time.Second; {
		got := s.at(now)
		switch _, full := got["unit.cpu"]; {
		case full:
			all++
		case len(got) == 2:
			memory++
		default:
			t.Errorf("at %v: %v", now, got)
		}
		next, ok := s.Next()
		if !ok || next <= now || next%(250*time.Millisecond) != 0 {
			t.Fatalf("after %v comes %v", now, next)
		}
		now = next
	}
	if all != 4 || memory != 12 {
		t.Errorf("%d full samples and %d of the memory, want 4 and 12", all, memory)
	}
}

// Memory is read ahead of its period when the host has less of it left, however slowly that comes.
func TestMemoryIsReadEarly(t *testing.T) {
	h := service(t)
	s := h.sampler(Options{Needed: cheap})
	s.values(func(b *source.Batch) { s.SetTargets([]Target{{Name: name, Memory: 100 * time.Millisecond}}, 0, b) })
	s.Started(name, firstRun)
	s.at(0)
	for i, step := range []struct {
		left int // KiB
		read bool
	}{
		{500_000, true}, // nothing to compare with
		{500_000, false},
		{500_000 - sunkBy, true},
		{510_000, false},
		{510_000 - sunkBy/2, false},
		{510_000 - sunkBy, true},
		{510_000 - sunkBy - 1, false},
		{0, true}, // a kernel that does not tell
	} {
		text := "MemTotal: 1000000 kB\n"
		if step.left > 0 {
			text += "MemFree: 1 kB\nMemAvailable: " + itoa(step.left) + " kB\n"
		}
		h.write("proc/meminfo", text)
		got := s.at(time.Duration(i+1) * 100 * time.Millisecond)
		if _, read := got["unit.memory_bytes"]; read != step.read || len(got) > 2 {
			t.Errorf("step %d, %d KiB left: %v", i+1, step.left, got)
		}
	}
	if got := s.at(time.Second); len(got) < 5 {
		t.Errorf("after a second: %v", got)
	}
}

func TestSetTargetsKeepsWhatStays(t *testing.T) {
	h := service(t)
	s := h.sampler(Options{Needed: cheap})
	s.Started(name, firstRun)
	s.at(time.Second)
	s.values(func(b *source.Batch) { s.SetTargets([]Target{{Name: "a.service"}, {Name: name}, {Name: name}}, 0, b) })
	if got := s.at(2 * time.Second)["unit.cpu"]; got != 0 {
		t.Errorf("the first figure after a reload is %v, want a difference", got)
	}
	got := s.values(func(b *source.Batch) { s.SetTargets([]Target{{Name: "a.service"}}, 3*time.Second, b) })
	if got["unit.cpu"] != unknown || len(s.units) != 1 {
		t.Errorf("a unit that is no target any more: %v", got)
	}
}

type fakeWatcher struct {
	modified map[string]func()
	stopped  int
}

func (w *fakeWatcher) Modified(path string, fn func()) (func(), error) {
	w.modified[path] = fn
	return func() { w.stopped++ }, nil
}

func (w *fakeWatcher) Counted(string, string, func()) (func(), error) {
	return nil, errors.New("refused")
}

func TestEventsArriveByThemselves(t *testing.T) {
	h := service(t)
	w := &fakeWatcher{modified: map[string]func(){}}
	var announced []string
	s := h.sampler(Options{Needed: cheap, Watch: w, Events: func(unit string) { announced = append(announced, unit) }})
	s.Started(name, firstRun)
	s.at(time.Second)
	h.files(v2, `
		memory.events: oom_kill 9
		pids.events: max 5`)
	for _, fn := range w.modified {
		fn()
	}
	if diff := cmp.Diff([]string{name, name}, announced); diff != "" {
		t.Fatal(diff)
	}
	got := s.values(func(b *source.Batch) { s.Events(name, 1100*time.Millisecond, b) })
	if diff := cmp.Diff(map[string]float64{"unit.oom_kills": 9, "unit.refused_tasks": 5}, got); diff != "" {
		t.Error(diff)
	}
	s.Close()
	if w.stopped != 2 {
		t.Errorf("%d watches ended, want 2", w.stopped)
	}
}

func TestSignalsAreThoseOfTheCatalogue(t *testing.T) {
	mine := map[string]bool{}
	for _, s := range signals {
		mine[s] = true
		p, err := signal.ParsePath(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := signal.Lookup(p); !ok {
			t.Errorf("%s is not in the catalogue", s)
		}
	}
	for _, info := range signal.All() {
		if info.Scope == signal.Unit && info.Source != "systemd over D-Bus" && !mine[info.Name] {
			t.Errorf("nobody samples %s", info.Name)
		}
	}
}

func TestFigures(t *testing.T) {
	h := service(t)
	l, err := Detect(h.root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.Figures(firstRun)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < 5 || got[0].File != "cpu.stat" {
		t.Errorf("%+v", got)
	}
	if _, err := l.Figures(Run{ControlGroup: "/nothing"}); err == nil {
		t.Error("a group that is not there has figures")
	}
}

func TestOwnUnit(t *testing.T) {
	h := newHost(t, hybrid)
	layout, err := Detect(h.root)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                                       "",
		"0::/system.slice/salve-agent.service\n": "salve-agent.service",
		"4:memory:/x.service\n1:name=systemd:/user.slice/user@7.service/app.slice/y.service/part\n0::/z.service\n": "y.service",
		"0::/user.slice/session-3.scope\n": "session-3.scope",
		"0::/\n":                           "",
	} {
		h.write("proc/"+itoa(os.Getpid())+"/cgroup", text)
		if got := layout.Own(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
