package unit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/observe/notice"
	"github.com/salveops/salve/agent/internal/observe/source"
)

// childVariable makes the test program a child that does what it is told.
const childVariable = "SALVE_UNIT_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

// child obeys lines on its input: "memory MiB", "burn milliseconds", "files N". It answers each.
func child() {
	var hoard [][]byte
	var open []*os.File
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		what, arg, _ := strings.Cut(lines.Text(), " ")
		n, _ := strconv.Atoi(arg)
		switch what {
		case "memory":
			block, err := syscall.Mmap(-1, 0, n<<20, syscall.PROT_READ|syscall.PROT_WRITE,
				syscall.MAP_ANON|syscall.MAP_PRIVATE) // a garbage collector takes more than it is asked for
			if err != nil {
				fmt.Println(err)
				return
			}
			for i := 0; i < len(block); i += 4096 {
				block[i] = 1
			}
			hoard = append(hoard, block)
		case "burn":
			for start := time.Now(); time.Since(start) < time.Duration(n)*time.Millisecond; {
			}
		case "files":
			for range n {
				f, err := os.Open("/dev/null")
				if err != nil {
					fmt.Println(err)
					return
				}
				open = append(open, f)
			}
		}
		fmt.Println("done", len(hoard), len(open))
	}
}

// realUnit is a child in a control group of its own.
type realUnit struct {
	t     testing.TB
	run   Run
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	group string
	dirs  []string
}

// newRealUnit makes a control group in the hierarchies given, which are folders of /sys/fs/cgroup, and
// starts a child in it.
func newRealUnit(t testing.TB, hierarchies ...string) *realUnit {
	t.Helper()
	u := &realUnit{t: t, group: fmt.Sprintf("/salve-unit-test-%d-%d", os.Getpid(), time.Now().UnixNano())}
	for _, h := range hierarchies {
		dir := filepath.Join("/sys/fs/cgroup", h, u.group)
		err := os.Mkdir(dir, 0o755)
		agenttest.Require(t, "a control group of one's own in "+h,
			err == nil || !refused(err),
			fmt.Sprint("run as root on a host with hybrid control groups: ", err))
		if err != nil {
			t.Fatal(err)
		}
		u.dirs = append(u.dirs, dir)
		t.Cleanup(func() { removeGroup(t, dir) })
	}
	u.start()
	return u
}

// refused reports whether the machine does not let this user make control groups.
func refused(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EROFS)
}

// removeGroup removes a group. The kernel takes a moment to empty it after its last process.
func removeGroup(t testing.TB, dir string) {
	agenttest.Eventually(t, func() bool {
		err := syscall.Rmdir(dir)
		return err == nil || errors.Is(err, fs.ErrNotExist)
	}, "the control group "+dir+" can be removed")
}

func (u *realUnit) start() {
	u.t.Helper()
	u.cmd = exec.Command("/proc/self/exe")
	u.cmd.Env = append(os.Environ(), childVariable+"=1")
	u.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err1 := u.cmd.StdinPipe()
	out, err2 := u.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, u.cmd.Start()); err != nil {
		u.t.Fatal(err)
	}
	u.in, u.out = in, bufio.NewReader(out)
	u.t.Cleanup(u.stop)
	for _, dir := range u.dirs {
		pid := strconv.Itoa(u.cmd.Process.Pid)
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(pid), 0); err != nil {
			u.t.Fatal(err)
		}
	}
	u.run = Run{ControlGroup: u.group, InvocationID: strconv.Itoa(u.cmd.Process.Pid), MainPID: u.cmd.Process.Pid}
}

func (u *realUnit) stop() {
	_ = u.cmd.Process.Kill()
	_ = u.cmd.Wait()
}

// tell makes the child do something and waits until it has.
func (u *realUnit) tell(what string, n int) {
	u.t.Helper()
	if _, err := fmt.Fprintln(u.in, what, n); err != nil {
		u.t.Fatal(err)
	}
	if _, err := u.out.ReadString('\n'); err != nil {
		u.t.Fatal(err)
	}
}

func (u *realUnit) observe(o Options) *observed {
	u.t.Helper()
	layout, err := Detect("")
	if err != nil {
		u.t.Fatal(err)
	}
	o.Layout = layout
	s := newObserved(u.t, o)
	s.values(func(b *source.Batch) { s.SetTargets([]Target{{Name: name, Every: Least}}, 0, b) })
	s.Started(name, u.run)
	return s
}

// In the hybrid layout the version 2 tree has no controllers: CPU and pressure come from it, the rest
// from the version 1 controllers in which the unit has a folder, or from its processes.
func TestRealUnit(t *testing.T) {
	tests := []struct {
		name        string
		hierarchies []string
	}{
		{"no controller", []string{"unified", "systemd"}},
		{"version 1 controllers", []string{"unified", "systemd", "cpu", "cpuacct", "pids", "memory"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := newRealUnit(t, tt.hierarchies...)
			s := u.observe(Options{})
			start := time.Now()
			before := s.at(time.Since(start))
			u.tell("memory", 64)
			u.tell("files", 50)
			u.tell("burn", 300)
			after := s.at(time.Since(start))
			grown := after["unit.memory_bytes"] - before["unit.memory_bytes"]
			if grown < 60<<20 || grown > 110<<20 { // the runtime grows, too
				t.Errorf("memory grew by %v MiB, want 64", grown/(1<<20))
			}
			if grown := after["unit.fds"] - before["unit.fds"]; grown < 50 || grown > 55 { // some are the runtime's own
				t.Errorf("open files grew by %v, want 50", grown)
			}
			if cpu := after["unit.cpu"]; cpu < .02 || cpu > 3 { // other programs may want the CPU, too
				t.Errorf("CPU use %v while it was busy", cpu)
			}
			if n := after["unit.tasks"]; n < 1 || n > 50 {
				t.Errorf("%v tasks", n)
			}
			if v := after["unit.throttled"]; v != 0 {
				t.Errorf("throttled %v without a quota", v)
			}
			if v, ok := after["unit.psi.cpu.some"]; !ok || v < 0 {
				t.Errorf("pressure %v (there: %v)", v, ok)
			}
		})
	}
}

func TestRealRestart(t *testing.T) {
	u := newRealUnit(t, "unified", "systemd")
	s := u.observe(Options{Needed: cheap})
	s.at(time.Second)
	u.tell("memory", 32)
	big := s.at(2 * time.Second)["unit.memory_bytes"]
	u.stop()
	for _, dir := range u.dirs {
		removeGroup(t, dir)
	}
	if got := s.at(3 * time.Second); got["unit.cpu"] != unknown || got["unit.memory_bytes"] != unknown {
		t.Errorf("after the control group went: %v", got)
	}
	for _, dir := range u.dirs {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	u.start()
	s.Started(name, u.run)
	got := s.at(4 * time.Second)
	if small := got["unit.memory_bytes"]; small <= 0 || small > big-(24<<20) {
		t.Errorf("memory %v after the restart, %v before", small, big)
	}
	if got["unit.cpu"] != unknown {
		t.Errorf("CPU use %v of two lives mixed", got["unit.cpu"])
	}
}

func TestRealQuotaIsSeen(t *testing.T) {
	u := newRealUnit(t, "unified", "systemd", "cpu", "cpuacct")
	for file, text := range map[string]string{"cpu.cfs_period_us": "10000", "cpu.cfs_quota_us": "2000"} {
		if err := os.WriteFile(filepath.Join("/sys/fs/cgroup/cpu", u.group, file), []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	s := u.observe(Options{Needed: cheap})
	start := time.Now()
	s.at(time.Since(start))
	u.tell("burn", 300)
	got := s.at(time.Since(start))
	if got["unit.throttled"] < .3 || got["unit.cpu"] > .4 {
		t.Errorf("with a quota of a fifth of a CPU: throttled %v, CPU use %v", got["unit.throttled"], got["unit.cpu"])
	}
}

// The kernel announces an OOM kill of a version 1 group; without the announcement the next sample has it.
func TestRealOOMKill(t *testing.T) {
	u := newRealUnit(t, "unified", "systemd", "memory")
	limit := filepath.Join("/sys/fs/cgroup/memory", u.group, "memory.limit_in_bytes")
	if err := os.WriteFile(limit, []byte("67108864"), 0); err != nil {
		t.Fatal(err)
	}
	p, err := notice.New()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- p.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	announced := make(chan string, 16)
	s := u.observe(Options{Needed: cheap, Watch: p, Events: func(unit string) { announced <- unit }})
	if got := s.at(time.Second)["unit.oom_kills"]; got != 0 {
		t.Fatalf("%v OOM kills before any", got)
	}
	if _, err := fmt.Fprintln(u.in, "memory", 256); err != nil {
		t.Fatal(err)
	}
	select {
	case unit := <-announced:
		if unit != name {
			t.Errorf("announced for %q", unit)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no announcement")
	}
	now := time.Second
	agenttest.Eventually(t, func() bool {
		now += time.Millisecond
		return s.values(func(b *source.Batch) { s.Events(name, now, b) })["unit.oom_kills"] > 0
	}, "the kill is counted")
}

// Version 1 counts the processes that a limit kept from starting, and announces none.
func TestRealRefusedTasks(t *testing.T) {
	u := newRealUnit(t, "unified", "systemd", "pids")
	shell := exec.Command("sh", "-c", "read go; /bin/true; exit 0")
	in, err := shell.StdinPipe()
	if err := errors.Join(err, shell.Start()); err != nil {
		t.Fatal(err)
	}
	s := u.observe(Options{Needed: cheap})
	if got := s.at(time.Second)["unit.refused_tasks"]; got != 0 {
		t.Fatalf("%v refusals before any", got)
	}
	group := filepath.Join("/sys/fs/cgroup/pids", u.group)
	err = os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(shell.Process.Pid)), 0)
	if err != nil {
		t.Fatal(err)
	}
	u.stop() // its runtime would ask for threads, and ask again when it is refused
	if err := os.WriteFile(filepath.Join(group, "pids.max"), []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(in); err != nil {
		t.Fatal(err)
	}
	if err := shell.Wait(); err == nil {
		t.Fatal("the shell could start a program")
	}
	if got := s.at(2 * time.Second)["unit.refused_tasks"]; got != 1 {
		t.Errorf("%v refusals are counted, want 1", got)
	}
}
