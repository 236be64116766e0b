package isolate_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
)

// sliced is a rig whose circuit is for the slice of a service that runs on a real manager, beside another one.
type sliced struct {
	*rig
	manager *acttest.Rig
}

const inSlice = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nSlice=shop.slice\nExecStart=/bin/sleep 1000\n"

func newSliced(t *testing.T) *sliced {
	t.Helper()
	g := &sliced{rig: newRig(t), manager: acttest.New(t, "shop.service", inSlice, "other.service", acttest.Sleeper)}
	g.on(g.manager.Watcher)
	g.circuit.Slice = "shop.slice"
	g.manager.Up("shop.service")
	g.manager.Up("other.service")
	for _, at := range payments {
		g.listen(service, at)
	}
	return g
}

// group is the folder of the unit's control group.
func (g *sliced) group(unit string) string {
	g.t.Helper()
	u := g.manager.Becomes(unit, "in a control group", func(u systemd.Unit) bool { return u.ControlGroup != "" })
	for _, root := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if dir := filepath.Join(root, u.ControlGroup); exists(dir + "/cgroup.procs") {
			return dir
		}
	}
	g.t.Fatalf("%s has no control group of version 2", unit)
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// sends checks whether new connections of a process in the unit's control group get to the address.
func (g *sliced) sends(unit string, user int, to netip.AddrPort, want bool) {
	g.t.Helper()
	dir, err := os.Open(g.group(unit))
	if err != nil {
		g.t.Fatal(err)
	}
	defer dir.Close()
	c := exec.Command("/bin/bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/%d", to.Addr(), to.Port()))
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()),
		Credential: &syscall.Credential{Uid: uint32(user), Gid: salve, NoSetGroups: true}}
	out, err := c.CombinedOutput()
	if want && err != nil || !want && !strings.Contains(string(out), "refused") {
		g.t.Errorf("a process of %s sends to %s: %v, %q; want %v", unit, to, err, out, want)
	}
}

// TestSlice: only what runs in the slice is cut off, also what is started anew there while nobody does anything.
func TestSlice(t *testing.T) {
	g := newSliced(t)
	before := g.others()
	a := g.must(g.request())
	number := func() uint64 {
		st, err := os.Stat(g.group("shop.service"))
		if err != nil {
			t.Fatal(err)
		}
		return st.Sys().(*syscall.Stat_t).Ino
	}
	old := number()
	for range 2 {
		for _, at := range payments {
			g.sends("shop.service", service, at, false)
			g.sends("shop.service", salve, at, true)
			g.sends("other.service", service, at, true)
			g.reaches(service, at, true)
		}
		g.manager.Do("restart", "shop.service")
	}
	if number() == old {
		t.Error("the unit's own control group outlives a restart, so this test proves nothing")
	}
	g.refused(g.request(), "cut off already")
	if _, err := g.Undo(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	g.sends("shop.service", service, payments[0], true)
	if own := g.ruleset(); strings.Contains(own, "elements") || !cmp.Equal(before, g.others()) {
		t.Errorf("something is left, or gone:\n%s", own)
	}

	s, _ := acttest.Stage(t, g.kind, g.request()) // by an agent that dies
	s.For = 300 * time.Millisecond
	begun := time.Now()
	if err := g.kind.Act(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, func() bool { return !strings.Contains(g.ruleset(), "elements") }, "the kernel lets it go")
	if took := time.Since(begun); took < s.For-10*time.Millisecond { // a tick of the kernel
		t.Errorf("it ended after %s", took)
	}
	g.sends("shop.service", service, payments[0], true)
}

// TestSliceAndHost: circuits of a slice and of the whole host do not end each other.
func TestSliceAndHost(t *testing.T) {
	g := newSliced(t)
	slice, undo := g.circuit.Slice, func(a incident.Attempt) {
		t.Helper()
		if _, err := g.Undo(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
	}
	whole := func() incident.Attempt {
		t.Helper()
		g.circuit.Slice = ""
		defer func() { g.circuit.Slice = slice }()
		return g.must(g.request())
	}
	outer := whole()
	if !g.refused(g.request(), "cut off already").Needless {
		t.Error("a part of what is cut off is no needless attempt")
	}
	undo(outer)
	inner, outer := g.must(g.request()), whole()
	g.sends("other.service", service, payments[0], false)
	undo(outer)
	g.sends("other.service", service, payments[0], true)
	g.sends("shop.service", service, payments[0], false)
	undo(inner)
	g.sends("shop.service", service, payments[0], true)
}

// TestSliceOfAnother: what would not cut off the service, or not all of it, is refused.
func TestSliceOfAnother(t *testing.T) {
	g := newSliced(t)
	g.circuit.Slice = "shop-web.slice"
	g.refused(g.request(), "shop.service runs in ")
	g.circuit.Slice = "shop.slice"
	q := g.request()
	q.Remedy.Service.Unit = "*.service"
	g.refused(q, "other.service runs in ")
	q.Remedy.Service.Except = []string{"other.service"}
	if _, err := g.Prepare(t.Context(), q); err != nil {
		t.Error(err)
	}
	q.Remedy.Service.Unit = "" // empty-means-all
	g.refused(q, "nothing of the service runs in shop.slice")
	g.manager.Do("stop", "shop.service")
	g.manager.Down("shop.service")
	g.refused(g.request(), "nothing of the service runs in shop.slice")
	if after := g.ruleset(); after != "" {
		t.Errorf("something was done:\n%s", after)
	}
	if err := g.manager.Stop(); err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, func() bool { return !g.systemd.Connected() }, "systemd is gone")
	g.refused(g.request(), "cannot be known")
	g.on(acttest.IdleWatcher(t)) // it was never there
	g.refused(g.request(), "cannot be known")
}
