package helper

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/systemd"
)

func tasksMax(unit string, n uint64, length time.Duration) order.Order {
	return order.Order{Verb: order.SetProperty, Unit: unit, Runtime: true, For: length,
		Properties: map[string]order.Value{"TasksMax": {N: n}}}
}

func (g *rig) dropIns(unit string) []string {
	files, _ := filepath.Glob(filepath.Join(g.Runtime, "systemd/user.control", unit+".d", "*"))
	return files
}

// free waits until nothing of a limit is left.
func (g *rig) free(unit string) {
	g.t.Helper()
	g.becomes(Timer(unit), "LoadState", "not-found")
	g.becomes(serviceOf(Timer(unit)), "LoadState", "not-found")
	if _, err := os.Stat(filepath.Join(g.Runtime, "systemd/user.control", unit+".d")); err == nil {
		g.t.Errorf("the drop-ins %v are left, or their folder", g.dropIns(unit))
	}
}

// TestLimitOutlivesTheHelper: systemd itself takes the limit back, also when it has read all unit files anew
// meanwhile, and nobody else is left.
func TestLimitOutlivesTheHelper(t *testing.T) {
	g := newRig(t, "a.service", sleeper+"TasksMax=70\n")
	g.do("start", "a.service")
	g.must(tasksMax("a.service", 21, 8*time.Second)) // enough for what is looked at before it is over
	g.becomes("a.service", "TasksMax", "21")
	g.stop()
	g.do("daemon-reload")
	if got, _ := g.Property("a.service", "TasksMax"); got != "21" {
		t.Errorf("TasksMax is %s before its time", got)
	}
	g.becomes("a.service", "TasksMax", "70")
	g.free("a.service")
}

// TestLimitLifted: before its time, as often as one likes; then there is room for the next one.
func TestLimitLifted(t *testing.T) {
	g := newRig(t, "a.service", sleeper+"TasksMax=70\n")
	g.do("start", "a.service")
	for range 2 {
		g.must(tasksMax("a.service", 21, time.Hour))
		g.becomes("a.service", "TasksMax", "21")
		g.refused(tasksMax("a.service", 9, time.Hour), "has a limit already")
		for range 2 {
			g.must(order.Order{Verb: order.Lift, Unit: "a.service"})
		}
		g.becomes("a.service", "TasksMax", "70")
		g.free("a.service")
	}
}

// TestLimitRefused: what systemd does not take leaves no timer behind, so there is room for what it does take.
func TestLimitRefused(t *testing.T) {
	g := newRig(t, "a.service", sleeper)
	g.do("start", "a.service")
	g.refused(order.Order{Verb: order.SetProperty, Unit: "a.service", Runtime: true, For: time.Hour,
		Properties: map[string]order.Value{"MemoryMax": {}}}, "systemd refused")
	g.free("a.service")
	g.must(tasksMax("a.service", 21, time.Hour))
}

// TestLimitKeepsWhatAPersonSet: the drop-in that was there stays, with the value that it had.
func TestLimitKeepsWhatAPersonSet(t *testing.T) {
	g := newRig(t, "a.service", sleeper)
	g.do("start", "a.service")
	g.do("set-property", "--runtime", "a.service", "TasksMax=40")
	g.must(tasksMax("a.service", 21, time.Hour))
	g.must(order.Order{Verb: order.Lift, Unit: "a.service"})
	g.becomes("a.service", "TasksMax", "40")
	g.becomes(Timer("a.service"), "LoadState", "not-found")
	g.do("daemon-reload")
	g.becomes("a.service", "TasksMax", "40")
	if left := g.dropIns("a.service"); len(left) != 1 {
		t.Errorf("the drop-ins are %v", left)
	}
}

// TestLimitsOfEveryProperty: systemctl understands each old value as it is written, also of a unit whose name is odd.
func TestLimitsOfEveryProperty(t *testing.T) {
	for name, text := range map[string]string{
		"worker@a-1.service": "CPUQuota=12.5%\nCPUWeight=idle\nMemoryMax=512M\nMemoryHigh=infinity\nMemorySwapMax=0\n" +
			"TasksMax=70\nIOWeight=300\nAllowedCPUs=0-1\n",
		`srv-a\x2db.service`: "",
	} {
		file := name
		if file[0] == 'w' {
			file = "worker@.service"
		}
		g := newRig(t, file, sleeper+text)
		g.write(everyVerb(name).Text())
		g.do("start", name)
		limits := map[string]order.Value{
			"CPUQuota": {N: 50_000}, "CPUWeight": {N: 7}, "MemoryMax": {N: 1 << 30}, "MemoryHigh": {N: 1 << 29},
			"MemorySwapMax": {N: 1 << 28}, "MemoryLow": {N: 1 << 20}, "MemoryMin": {N: 1 << 20}, "TasksMax": {N: 21},
			"IOWeight": {N: 9}, "AllowedCPUs": {Mask: []byte{1}},
		}
		was := map[string]string{}
		for p := range limits {
			prop, _ := order.Lookup(p)
			was[prop.DBus], _ = g.Property(name, prop.DBus)
		}
		g.must(order.Order{Verb: order.SetProperty, Unit: name, Runtime: true, For: 5 * time.Second, Properties: limits})
		g.becomes(name, "TasksMax", "21")
		g.do("daemon-reload")
		for p, want := range was {
			g.becomes(name, p, want)
		}
		g.free(name)
	}
}

// TestUnitGoneMeanwhile: a limit can be lifted also of a unit that is gone, and does not come back with it.
func TestUnitGoneMeanwhile(t *testing.T) {
	g := newRig(t, "a.service", sleeper)
	g.do("start", "a.service")
	was, _ := g.Property("a.service", "TasksMax")
	g.must(tasksMax("a.service", 21, time.Hour))
	if err := g.RemoveUnit("a.service"); err != nil {
		t.Fatal(err)
	}
	g.must(order.Order{Verb: order.Lift, Unit: "a.service"})
	g.becomes("a.service", "TasksMax", was)
}

// TestGone: a timer that went between two looks is no failure, and any other refusal is one.
func TestGone(t *testing.T) {
	g := newRig(t)
	c, err := systemd.Dial(t.Context(), g.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, stopped := c.StopUnitContext(t.Context(), Timer("a.service"), "fail", nil)
	_, started := c.StartUnitContext(t.Context(), serviceOf(Timer("a.service")), "fail", nil)
	_, refused := c.StartUnitContext(t.Context(), "a.service", "nonsense", nil)
	if !gone(stopped) || !gone(started) || refused == nil || gone(refused) {
		t.Errorf("gone: %v, %v; not gone: %v", stopped, started, refused)
	}
}

// TestLongName: a unit whose timer could have no name gets no limit that ends.
func TestLongName(t *testing.T) {
	unit := strings.Repeat("a", 240) + ".service"
	g := newRig(t, unit, sleeper)
	g.write(everyVerb(unit).Text())
	g.refused(tasksMax(unit, 21, time.Second), "is too long")
	g.must(tasksMax(unit, 21, 0))
}

func TestManager(t *testing.T) {
	m, err := newManager(SystemBus)
	if err != nil || m.control != "/run/systemd/system.control" || len(m.ctl) != 1 {
		t.Errorf("of process 1: %+v, %v", m, err)
	}
	for _, bus := range []string{"", "system", "unix:path=private", "unix:path=/run/dbus/system_bus_socket"} {
		if _, err := newManager(bus); err == nil {
			t.Errorf("%q is taken for a private socket", bus)
		}
	}
	if _, err := find("no-such-program"); err == nil {
		t.Error("a program is found that nobody has")
	}
	if _, err := os.Stat(m.ctl[0]); err != nil {
		t.Error(err)
	}
}
