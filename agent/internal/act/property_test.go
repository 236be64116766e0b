package act

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

const spinner = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c 'while :; do :; done'\n"

func setProperty(unit string, properties map[string]string) Request {
	return ask(remedy.SetProperty, unit, func(a *remedy.Args) { a.Properties, a.Runtime = properties, true })
}

// running is a rig with a.service running in its control group.
func running(t *testing.T, text string) (*rig, systemd.Unit) {
	t.Helper()
	g := newRig(t, "a.service", text)
	g.up("a.service")
	return g, g.becomes("a.service", "in a control group", func(u systemd.Unit) bool { return u.ControlGroup != "" })
}

// requireController skips where systemd cannot use the controller.
func requireController(t *testing.T, g *rig, u systemd.Unit, property string) {
	t.Helper()
	set, err := lookupSetting(property)
	if err != nil {
		t.Fatal(err)
	}
	// Right after its start a process is still on its way from the manager's control group to the unit's.
	look, late := time.NewTicker(5*time.Millisecond), time.After(3*time.Second)
	defer look.Stop()
	for err = g.works(u, set); err != nil; err = g.works(u, set) {
		select {
		case <-look.C:
			continue
		case <-late:
		}
		break
	}
	why := ""
	if err != nil {
		why = err.Error()
	}
	agenttest.Require(t, "the "+set.controller+" controller", err == nil, why)
}

// works reports whether a limit has an effect on the unit as it is now.
func (g *rig) works(u systemd.Unit, set setting) error {
	l, err := limitsOf(u.Name, u.ControlGroup, g.watcher.ControlGroup())
	if err != nil {
		return err
	}
	return l.works(set)
}

// cpuTime is how long the process has run on a CPU, in clock ticks.
func cpuTime(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')'):]))
	user, err1 := strconv.Atoi(f[12])
	system, err2 := strconv.Atoi(f[13])
	if err1 != nil || err2 != nil {
		t.Fatalf("stat %q", text)
	}
	return user + system
}

// busy is the share of one CPU that the process gets over the time that it takes to look.
func busy(t *testing.T, pid int) float64 {
	t.Helper()
	const look = 600 * time.Millisecond
	began, ticks := time.Now(), cpuTime(t, pid)
	<-time.After(look)
	return float64(cpuTime(t, pid)-ticks) / 100 / time.Since(began).Seconds()
}

func TestCPUQuotaThrottlesAndGoesAway(t *testing.T) {
	g, u := running(t, spinner)
	requireController(t, g, u, "CPUQuota")
	free := busy(t, u.MainPID)
	q := setProperty("a.service", map[string]string{"CPUQuota": "10%", "TasksMax": "17"})
	p, err := g.runner.Prepare(t.Context(), q)
	if err != nil || p.Text != "set CPUQuota=10% TasksMax=17 of a.service" {
		t.Fatalf("plan %q, %v", p.Text, err)
	}
	a := g.must(q)
	// On a machine with more work than cores it may not have had more before; the kernel's limit holds all the same.
	if limited := busy(t, u.MainPID); limited > 0.2 || free > 0.4 && limited > 0.5*free {
		t.Errorf("CPU share %.2f before, %.2f with a quota of 10%%", free, limited)
	}
	if got, _ := g.Property("a.service", "TasksMax"); got != "17" {
		t.Errorf("TasksMax is %s, want 17", got)
	}
	dropIns := filepath.Join(g.Runtime, "systemd/user.control/a.service.d")
	if files, _ := os.ReadDir(dropIns); len(files) != 2 {
		t.Errorf("systemd wrote the drop-ins %v; want two, or this test looks in the wrong place", files)
	}

	undone, err := g.runner.Undo(t.Context(), a.ID)
	if err != nil || undone.Phase != incident.Undone {
		t.Fatalf("undo: %+v, %v", undone, err)
	}
	agenttest.Eventually(t, 20*time.Second, func() bool { return busy(t, u.MainPID) > 0.5*free },
		"it has the CPU again that it had before")
	if got, _ := g.Property("a.service", "CPUQuotaPerSecUSec"); got != "infinity" {
		t.Errorf("the quota after the undo is %s", got)
	}
	if _, err := os.Stat(dropIns); err == nil {
		t.Error("the undo left its drop-ins behind")
	}
}

func TestUndoKeepsWhatAPersonHadSet(t *testing.T) {
	g, u := running(t, sleeper)
	requireController(t, g, u, "TasksMax")
	g.do("set-property", "--runtime", "a.service", "TasksMax=40")
	a := g.must(setProperty("a.service", map[string]string{"TasksMax": "20"}))
	if _, err := g.runner.Undo(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	g.do("daemon-reload")
	if got, _ := g.Property("a.service", "TasksMax"); got != "40" {
		t.Errorf("TasksMax is %s, want the 40 that a person had set", got)
	}
}

// TestLimitWithoutEffect: where systemd has no say in a controller's hierarchy it takes a limit without
// a word and nothing happens. Salve refuses before, and where that look is not enough it notices after.
func TestLimitWithoutEffect(t *testing.T) {
	g, u := running(t, sleeper)
	l, err := limitsOf(u.Name, u.ControlGroup, g.watcher.ControlGroup())
	if err != nil {
		t.Fatal(err)
	}
	memory, _ := lookupSetting("MemoryHigh")
	agenttest.Require(t, "a host whose memory controller systemd cannot use", l.works(memory) != nil,
		"here MemoryHigh works")
	g.refused(setProperty("a.service", map[string]string{"MemoryHigh": "64M"}), "", false)

	s := &step{Request: setProperty("a.service", map[string]string{"MemoryHigh": "64M"}), target: "a.service"}
	err = limiter{onUnit{g.runner}}.act(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), "no effect") {
		t.Errorf("a limit without effect: %v", err)
	}
}

func TestLimitsNeedProcesses(t *testing.T) {
	g := newRig(t, "a.service", sleeper, "b.service", lasting)
	g.up("b.service")
	g.refused(setProperty("b.service", map[string]string{"TasksMax": "9"}), "", false)
	g.refused(setProperty("a.service", map[string]string{"TasksMax": "9"}), "stopped by a person", false)
	g.up("a.service")
	g.refused(setProperty("a.service", map[string]string{"Nice": "5"}), "does not know Nice", false)
	g.refused(setProperty("a.service", map[string]string{"CPUQuota": "much"}), "no value", false)
}

func TestLimitEndsByItself(t *testing.T) {
	g, u := running(t, sleeper)
	requireController(t, g, u, "TasksMax")
	g.withHelper("set-property")
	old, _ := g.Property("a.service", "TasksMax")
	serve := func(r *Runner) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := r.Serve(t.Context()); err != nil {
				t.Errorf("serve: %v", err)
			}
		}()
		t.Cleanup(func() { <-done })
	}
	limited := func(r *Runner, length time.Duration) string {
		q := setProperty("a.service", map[string]string{"TasksMax": "21"})
		q.Remedy.Args.For = length
		g.runner = r
		agenttest.Eventually(t, 10*time.Second, func() bool { // the undo before is on disk a moment before it is over
			free, err := r.occupy("a.service")
			if err == nil {
				free()
			}
			return err == nil
		}, "nothing is at work any more")
		return g.must(q).ID
	}
	gone := func(id string) {
		t.Helper()
		agenttest.Eventually(t, 10*time.Second, func() bool {
			a, err := g.journal.Attempt(id)
			return err == nil && a.Phase == incident.Undone
		}, "the limit is taken back")
		agenttest.Eventually(t, 10*time.Second, func() bool {
			return g.watcher.Active(helper.Timer("a.service")) == "inactive"
		}, "its timer is gone")
		if got, _ := g.Property("a.service", "TasksMax"); got != old {
			t.Errorf("TasksMax is %s after its time, want %s", got, old)
		}
	}
	// An agent that dies right after it set a limit: the next one takes it back.
	id := limited(g.newRunner(everything()), 1500*time.Millisecond)
	next := g.newRunner(everything())
	serve(next)
	gone(id)
	gone(limited(next, time.Second))
}

func TestSettingsAreWrittenAsInUnitFiles(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       uint64
	}{
		{"CPUQuota", "20%", 200000},
		{"CPUQuota", "250.5%", 2505000},
		{"CPUQuota", "", infinity},
		{"CPUWeight", "1", 1},
		{"CPUWeight", "idle", 0},
		{"MemoryMax", "512M", 512 << 20},
		{"MemoryMax", "1g", 1 << 30},
		{"MemoryMax", "4096", 4096},
		{"MemoryMax", "infinity", infinity},
		{"TasksMax", "100", 100},
		{"TasksMax", "infinity", infinity},
		{"IOWeight", "10000", 10000},
	} {
		set, err := lookupSetting(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := set.parse(c.text); err != nil || v.N != c.want {
			t.Errorf("%s=%s is %d, %v; want %d", c.name, c.text, v.N, err, c.want)
		}
	}
	for name, texts := range map[string][]string{
		"CPUQuota":  {"0%", "20", "-5%", "NaN%", "%", "1e300%"},
		"CPUWeight": {"0", "10001", "", "x"},
		"MemoryMax": {"", "M", "-1", "99999999999999999999", "18446744073709551615T", "200%"},
		"TasksMax":  {"0", "", "x%"},
	} {
		set, _ := lookupSetting(name)
		for _, text := range texts {
			if v, err := set.parse(text); err == nil {
				t.Errorf("%s=%s is taken as %d", name, text, v.N)
			}
		}
	}
	if v, err := parseCPUs("0-2,5 9"); err != nil || string(v.Mask) != "\x27\x02" {
		t.Errorf("CPUs 0-2,5 9 are %x, %v", v.Mask, err)
	}
	for _, p := range remedy.Properties() {
		if _, err := lookupSetting(p); err != nil {
			t.Errorf("the configuration takes %s: %v", p, err)
		}
	}
}

func TestKernelSaysTheSame(t *testing.T) {
	for _, c := range []struct {
		name, kernel string
		want         uint64
		v1, agrees   bool
	}{
		{"CPUQuota", "20000 100000", 200000, false, true},
		{"CPUQuota", "max 100000", infinity, false, true},
		{"CPUQuota", "max 100000", 200000, false, false},
		{"CPUQuota", "-1 100000", infinity, true, true},
		{"CPUQuota", "50000 100000", 200000, true, false},
		{"CPUQuota", "", 200000, true, false},
		{"CPUWeight", "50", 50, false, true},
		{"CPUWeight", "512", 50, true, true},
		{"CPUWeight", "1024", 50, true, false},
		{"MemoryMax", "max", infinity, false, true},
		{"MemoryMax", "9223372036854771712", infinity, true, true},
		{"MemoryMax", "4096", 5000, false, true},
		{"MemoryMax", "max", 5000, false, false},
		{"TasksMax", "17", 17, true, true},
		{"TasksMax", "max", 17, false, false},
		{"IOWeight", "default 100", 100, false, true},
		{"IOWeight", "500", 100, true, true},
	} {
		set, err := lookupSetting(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if got := set.agrees(c.kernel, value{N: c.want}, c.v1); got != c.agrees {
			t.Errorf("%s=%d and the kernel's %q (v1 %v) agree: %v, want %v", c.name, c.want, c.kernel, c.v1, got, c.agrees)
		}
	}
	if !sameCPUs("0-2,5", value{Mask: []byte{0x27}}, false) || sameCPUs("0-1", value{Mask: []byte{0x27}}, false) {
		t.Error("lists of CPUs are compared wrongly")
	}
}

func TestReachable(t *testing.T) {
	l := limits{group: "/user/app.slice/a.service", top: "/user"}
	for at, want := range map[string]bool{
		"/user": true, "/user/": true, "/user/app.slice": true, "/user/app.slice/a.service": true,
		"/user/app.slice/a.service/sub": true,
		"/":                             false, "/other": false, "/user/b": false, "/process_api/x": false, "/userx": false,
	} {
		if got := l.reachable(at); got != want {
			t.Errorf("from %s: %v, want %v", at, got, want)
		}
	}
	l.top = ""
	if !l.reachable("/") {
		t.Error("for PID 1 the top is everybody's")
	}
}

func TestOldValuesAreInTheIntent(t *testing.T) {
	g, u := running(t, sleeper)
	requireController(t, g, u, "TasksMax")
	var intent incident.Attempt
	g.journal.before = func(a *incident.Attempt) error {
		if a.Phase == incident.Intended {
			intent = *a
		}
		return nil
	}
	g.must(setProperty("a.service", map[string]string{"TasksMax": "23"}))
	var kept limitUndo
	if err := json.Unmarshal(intent.Undo, &kept); err != nil || kept.Old["TasksMax"].N <= 23 {
		t.Errorf("before the act the disk had %s (%v); undo needs the old value", intent.Undo, err)
	}
}

// FuzzSettings: values come from configurations and, later, from the controller.
func FuzzSettings(f *testing.F) {
	for _, seed := range []string{"20%", "512M", "0-2,5", "infinity", "idle", "max 100000", "-1 100000", "default 100"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range settings() {
			v, err := s.parse(text)
			if err == nil && len(v.Mask) > maxCPU/8 {
				t.Errorf("%s=%q makes a mask of %d bytes", s.name, text, len(v.Mask))
			}
			s.agrees(text, value{N: 1}, false)
			s.agrees(text, value{N: infinity}, true)
		}
	})
}
