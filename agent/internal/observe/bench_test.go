package observe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/pkg/series"
)

const serverVariable = "SALVE_OBSERVE_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		serve()
		return
	}
	goleak.VerifyTestMain(m)
}

// serve is an HTTP server in a process of its own, so that its CPU time is not the observer's.
func serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
}

// start starts a command that dies with this process, and returns its standard output.
func start(b *testing.B, cmd *exec.Cmd) *bufio.Reader {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return bufio.NewReader(out)
}

// group makes a control group, which has to be empty again when the test ends, and returns its path.
func group(b *testing.B, n int) string {
	path := fmt.Sprintf("/salve-observe-bench-%d-%d", os.Getpid(), n)
	for _, h := range []string{"unified", "systemd"} {
		dir := filepath.Join("/sys/fs/cgroup", h, path)
		err := os.Mkdir(dir, 0o755)
		agenttest.Require(b, "control groups of one's own", err == nil,
			fmt.Sprint("run as root on a host with hybrid control groups: ", err))
		b.Cleanup(func() {
			agenttest.Eventually(b, func() bool { return syscall.Rmdir(dir) == nil }, dir+" can be removed")
		})
	}
	return path
}

// enter puts a process into a control group.
func enter(b *testing.B, path string, pid int) {
	for _, h := range []string{"unified", "systemd"} {
		procs := filepath.Join("/sys/fs/cgroup", h, path, "cgroup.procs")
		if err := os.WriteFile(procs, []byte(strconv.Itoa(pid)), 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAtRest100 is an observer with a hundred units and a hundred HTTP probes at one sample a second,
// memory four times as often, and the pressure of the host watched. An operation is a second.
func BenchmarkAtRest100(b *testing.B) {
	server := exec.Command("/proc/self/exe")
	server.Env = append(os.Environ(), serverVariable+"=1")
	address, err := start(b, server).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	var samples atomic.Int64
	o := running(b, Options{Deliver: func(batch *Batch) {
		samples.Add(int64(len(batch.Samples)))
		batch.Release()
	}})
	targets := Targets{Needs: []series.Key{{Signal: "host.psi.cpu.some"}}}
	for i := range 100 {
		name := fmt.Sprintf("s%d", i)
		targets.Units = append(targets.Units, UnitTarget{Name: name + ".service", Memory: 250 * time.Millisecond})
		targets.Probes = append(targets.Probes,
			ProbeTarget{Service: name, Name: "health", HTTP: "http://" + strings.TrimSpace(address)})
	}
	o.SetTargets(targets)
	for i := range 100 {
		path, cmd := group(b, i), exec.Command("sleep", "1000")
		start(b, cmd)
		enter(b, path, cmd.Process.Pid)
		o.UnitStarted(fmt.Sprintf("s%d.service", i), UnitRun{ControlGroup: path, MainPID: cmd.Process.Pid})
	}
	pass := func(seconds int) time.Duration {
		before := cpuTime(b)
		<-time.After(time.Duration(seconds) * time.Second)
		return cpuTime(b) - before
	}
	pass(3)
	samples.Store(0)
	b.ReportAllocs()
	b.ResetTimer()
	used := pass(b.N)
	b.StopTimer()
	b.ReportMetric(used.Seconds()*60/float64(b.N), "cpu-s/min")
	b.ReportMetric(float64(samples.Load())/float64(b.N), "samples/s")
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc+m.StackInuse)/(1<<20), "heap+stack-MiB")
}

// cpuTime is what this process has used, user and system.
func cpuTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
