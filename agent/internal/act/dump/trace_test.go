package dump_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/dump"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// holds is a service in C of some MiB, most of which it never wrote to.
const holds = `
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *waits_for_an_order(void *end) { char c; read(*(int *)end, &c, 1); return 0; }
int main(void) {
	int ends[2]; pthread_t t;
	char *kept = malloc(32 << 20), word[] = "drowssap-nwonk-eht";
	for (int i = 0; i < 18; i++) kept[i] = word[17 - i];
	pipe(ends);
	pthread_create(&t, 0, waits_for_an_order, &ends[0]);
	for (;;) pause();
}
`

// compiled is the program in C.
func compiled(t *testing.T, source string) string {
	t.Helper()
	text, path := filepath.Join(t.TempDir(), "service.c"), filepath.Join(t.TempDir(), "service")
	if err := os.WriteFile(text, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("gcc", "-w", "-pthread", "-o", path, text).CombinedOutput()
	agenttest.Require(t, "gcc", err == nil, string(out))
	return path
}

// traced is a rig with a service in C of two threads, on a host that has the programs.
func traced(t *testing.T, more ...string) (*rig, systemd.Unit) {
	t.Helper()
	for _, program := range []string{"eu-stack", "gdb"} {
		_, err := os.Stat("/usr/bin/" + program)
		agenttest.Require(t, program, err == nil, "")
	}
	r := newRig(t, "[Service]\nExecStart="+compiled(t, holds)+"\n"+strings.Join(more, ""))
	u, _ := r.Watcher.Unit("a.service")
	agenttest.Eventually(t, func() bool { return states(u.MainPID) == "SS" }, "two threads wait")
	return r, u
}

func picture(how string, most int) kind.Request {
	return acttest.Ask(remedy.Dump, "a.service", &remedy.DumpArgs{How: how, Within: 20 * time.Second, Most: most})
}

// states are the letters of a process's threads: T is stopped, t is traced.
func states(pid int) string {
	var all []byte
	found, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, path := range found {
		text, _ := os.ReadFile(path)
		if _, state, ok := bytes.Cut(text, []byte("\nState:\t")); ok {
			all = append(all, state[0])
		}
	}
	return string(all)
}

// reads waits until somebody reads the process, and reports whether anybody did.
func reads(pid int) bool {
	return agenttest.Poll(acttest.Patience, func() bool { return strings.Contains(states(pid), "t") })
}

// goesOn is what every test here ends with: it is the same process, nobody reads it, and it does not stand still.
func (r *rig) goesOn(was systemd.Unit) {
	r.T.Helper()
	now, err := r.Watcher.Read(r.T.Context(), "a.service")
	if err != nil || now.InvocationID != was.InvocationID || now.MainPID != was.MainPID || now.Active != "active" {
		r.T.Errorf("it was %+v, it is %+v, %v", was, now, err)
	}
	if s := states(now.MainPID); s == "" || strings.ContainsAny(s, "Tt") {
		r.T.Errorf("its threads are %q", s)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", now.MainPID))
	if err != nil || !strings.Contains(string(status), "TracerPid:\t0\n") {
		r.T.Errorf("it is read by somebody: %v", err)
	}
}

// Stacks name the functions, a core holds the memory and opens in gdb, and the service goes on: also when it is done twice.
func TestTraced(t *testing.T) {
	t.Parallel()
	r, was := traced(t)
	for range 2 {
		e, text := r.said(r.Must(picture(remedy.HowStacks, 1)))
		for _, want := range []string{fmt.Sprintf("PID %d", was.MainPID), "waits_for_an_order", "main\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		if e.Cut != "" {
			t.Errorf("cut because %q", e.Cut)
		}
		r.goesOn(was)
	}
	q := picture(remedy.HowCore, 128)
	p, err := r.Runner.Prepare(t.Context(), q)
	if err != nil || !p.Disruptive || !strings.Contains(p.Text, "stands still") {
		t.Errorf("%+v, %v: nobody is told that the service stands still", p, err)
	}
	e, text := r.said(r.Must(q))
	if !strings.Contains(text, "the-known-password") || e.Cut != "" {
		t.Errorf("%d bytes hold no password, cut because %q", len(text), e.Cut)
	}
	r.goesOn(was)
	var on unix.Stat_t
	r.must(unix.Stat(e.File, &on))
	if on.Mode&0o777 != 0o600 || on.Size < 32<<20 || on.Blocks*512 > 8<<20 {
		t.Errorf("%d bytes take %d of the disk, mode %o", on.Size, on.Blocks*512, on.Mode)
	}
	out, err := exec.Command("gdb", "-nx", "-batch", "-ex", "thread apply all bt", fmt.Sprintf("/proc/%d/exe", was.MainPID), e.File).Output()
	if err != nil || !strings.Contains(string(out), "in waits_for_an_order") {
		t.Errorf("%v: gdb says\n%s", err, out)
	}
}

// What is too large, slow or told to stop leaves no half core, and half a picture only of stacks. The service goes on.
func TestTraceEnds(t *testing.T) {
	t.Parallel()
	r, was := traced(t)
	r.Refused(picture(remedy.HowCore, 16), "max_mib is 16", false)
	for i := range 6 { // gdb is somewhere between its beginning and its end
		q := picture(remedy.HowCore, 128)
		q.Remedy.Args.(*remedy.DumpArgs).Within = time.Duration(5+40*i) * time.Millisecond
		a, err := r.Run(q)
		r.must(err)
		if a.Error != "" && (!strings.Contains(a.Error, "were over") || a.After != nil || len(r.names()) > 0) {
			t.Errorf("%s: %q, left are %v", a.Phase, a.Error, r.names())
		}
		for _, n := range r.names() {
			r.must(os.Remove(filepath.Join(r.dumps, n)))
		}
		r.goesOn(was)
	}
	halt := make(chan struct{})
	go func() {
		reads(was.MainPID)
		close(halt)
	}()
	p, err := r.Runner.Prepare(t.Context(), picture(remedy.HowCore, 128))
	r.must(err)
	p.Halt = halt
	a, err := r.Runner.Run(t.Context(), p)
	r.must(err)
	if !strings.Contains(a.Error, kind.ErrHalt.Error()) || a.After != nil || len(r.names()) > 0 {
		t.Errorf("%q, %s, left are %v", a.Error, a.After, r.names())
	}
	r.goesOn(was)

	s, _ := acttest.Stage(t, r.kind(), picture(remedy.HowCore, 128))
	s.Remedy.Args.(*remedy.DumpArgs).Most = 8 // it has grown since
	if err := r.kind().Act(t.Context(), s); err == nil || !strings.Contains(err.Error(), "did not write all of it") || len(r.names()) > 0 {
		t.Errorf("%v, left are %v", err, r.names())
	}
	r.goesOn(was)

	s, _ = acttest.Stage(t, r.kind(), picture(remedy.HowStacks, 1))
	dump.Other(s)
	if err := r.kind().Act(t.Context(), s); err == nil || !strings.Contains(err.Error(), "has ended") || len(r.names()) > 0 {
		t.Errorf("another process of that number was read: %v, %v", err, r.names())
	}
	s, _ = acttest.Stage(t, r.kind(), picture(remedy.HowCore, 128))
	now := r.Up("a.service")
	go func() {
		reads(now.MainPID)
		_ = unix.Kill(now.MainPID, unix.SIGKILL)
	}()
	if err := r.kind().Act(t.Context(), s); err == nil || len(r.names()) > 0 {
		t.Errorf("it was gone in the middle: %v, %v", err, r.names())
	}
}

// dies-in-the-middle: whenever the agent is killed, the program that reads dies with it, and the service does not stay stopped
// once the next agent has looked.
func TestReaderDies(t *testing.T) {
	t.Parallel()
	r, was := traced(t)
	_, a := acttest.Stage(t, r.kind(), picture(remedy.HowStacks, 1))
	stopped := 0
	for range 20 {
		c := exec.Command("/usr/bin/eu-stack", "-p", fmt.Sprint(was.MainPID))
		r.must(c.Start())
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
		kind.Eventually(ctx, 20*time.Microsecond, func() bool { return strings.ContainsAny(states(was.MainPID), "Tt") })
		cancel()
		r.must(c.Process.Kill())
		_ = c.Wait()
		if strings.Contains(states(was.MainPID), "T") {
			stopped++
		}
		if phase, why := r.kind().Settle(t.Context(), a); phase != incident.NotDone {
			t.Errorf("%s: %s", phase, why)
		}
		r.goesOn(was)
	}
	t.Logf("it was left stopped %d times", stopped)

	// So a reader leaves it that dies at the worst moment.
	r.must(unix.Kill(was.MainPID, unix.SIGSTOP))
	agenttest.Eventually(t, func() bool { return states(was.MainPID) == "TT" }, "it is stopped")
	r.Refused(picture(remedy.HowStacks, 1), "is stopped", false)
	other := *a
	other.Before = json.RawMessage(strings.Replace(string(a.Before), `"started":`, `"started":1`, 1))
	if _, why := r.kind().Settle(t.Context(), &other); states(was.MainPID) != "TT" || strings.Contains(why, "let go on") {
		t.Errorf("a process that was another one goes on: %s", why)
	}
	if phase, why := r.kind().Settle(t.Context(), a); phase != incident.NotDone || !strings.Contains(why, "was let go on") {
		t.Errorf("%s: %s", phase, why)
	}
	r.goesOn(was)
}

const doomedEnv = "DUMP_TEST_DOOMED"

// TestDoomed is no test: it is the agent that TestAgentDies kills while it has a core made.
func TestDoomed(t *testing.T) {
	at := strings.Fields(os.Getenv(doomedEnv)) // bus, folder
	if len(at) != 2 {
		return
	}
	r := &rig{Rig: &acttest.Rig{T: t, Watcher: acttest.Watch(t, at[0], "a.service"), Journal: acttest.OpenJournal(t, at[1])}}
	r.at(at[1])
	r.Must(picture(remedy.HowCore, 128))
	select {}
}

// The agent is killed while a service stands still for it: the service goes on, and what there is of the core is told.
func TestAgentDies(t *testing.T) {
	t.Parallel()
	r, was := traced(t)
	folder := t.TempDir()
	c := exec.Command(os.Args[0], "-test.run=^TestDoomed$")
	c.Env = append(os.Environ(), doomedEnv+"="+r.Address+" "+folder)
	r.must(c.Start())
	if !reads(was.MainPID) {
		t.Error("nobody read it")
	}
	r.must(c.Process.Kill())
	_ = c.Wait()
	agenttest.Eventually(t, func() bool { return !strings.Contains(states(was.MainPID), "t") }, "its reader is gone")
	r.Journal = acttest.OpenJournal(t, folder)
	r.at(folder)
	settled := r.Runner.Settle(t.Context())
	if len(settled) != 1 || settled[0].Phase != incident.NotDone && settled[0].Phase != incident.Acted {
		t.Fatalf("settled as %+v", settled)
	}
	t.Log(settled[0].Phase, settled[0].Reason)
	r.goesOn(was)
}

// Whatever an agent lacks to read a process is told before anything of it is stopped, with what gives it.
func TestUnreadable(t *testing.T) {
	agenttest.Require(t, "root", os.Geteuid() == 0, "")
	c := exec.Command("/bin/sleep", "1000")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	for name, x := range map[string]struct {
		lose func() error
		want string
	}{
		"all is there": {func() error { return nil }, ""},
		"no tracing":   {func() error { return without(unix.CAP_SYS_PTRACE) }, "without CAP_SYS_PTRACE: examples/tracing.conf"},
		"no signals":   {func() error { return without(unix.CAP_KILL) }, "without CAP_KILL"},
		"no ptrace":    {forbidPtrace, "may not use the system call ptrace: examples/tracing.conf"},
	} {
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // and ends with this goroutine
			if err := x.lose(); err != nil {
				done <- err
				return
			}
			done <- dump.Readable(c.Process.Pid)
		}()
		if err := <-done; (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
	tracing, over := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		tracing <- unix.PtraceSeize(c.Process.Pid)
		<-over
	}()
	if err := <-tracing; err != nil {
		t.Fatal(err)
	}
	if err := dump.Readable(c.Process.Pid); err == nil || !strings.Contains(err.Error(), "is read by process") {
		t.Errorf("beside a debugger: %v", err)
	}
	close(over)
}

// without takes a capability from this thread.
func without(capability uint) error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has [2]unix.CapUserData
	if err := unix.Capget(&head, &has[0]); err != nil {
		return err
	}
	has[capability/32].Effective &^= 1 << (capability % 32)
	return unix.Capset(&head, &has[0])
}

// forbidPtrace is what SystemCallFilter= of the agent's unit does to this thread.
func forbidPtrace() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_PTRACE},
		{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}

// A core is as large as what a process can write, and what comes from no file.
func TestWritable(t *testing.T) {
	const maps = `00400000-00402000 r-xp 00000000 08:01 12 /usr/bin/a
00402000-00403000 rw-p 00002000 08:01 12 /usr/bin/a
c000000000-c000400000 rw-p 00000000 00:00 0
c000400000-c004000000 ---p 00000000 00:00 0
7f0000000000-7f0000010000 r-xp 00000000 00:00 0
7f0000010000-oops rw-p 00000000 00:00 0
short
`
	if got, want := dump.Writable(maps), uint64(0x1000+0x400000+0x10000); got != want {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestSpares(t *testing.T) {
	for _, c := range []struct {
		swapped   string
		own, most uint64
		want      string
	}{
		{"0 kB", 1 << 20, 1 << 20, ""},
		{"", 1 << 20, 1 << 20, ""}, // a kernel without swap
		{"4 kB", 1, 1 << 20, "4 kB of it are in swap"},
		{"0 kB", 1<<20 + 1, 1 << 20, "max_mib is 1"},
	} {
		if err := dump.Spares(c.swapped, c.own, c.most); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// systemd ends a service that stands still for longer than its watchdog lets it: it never does for longer than half of that. And
// what Salve needs itself never stands still.
func TestWatched(t *testing.T) {
	t.Parallel()
	r, _ := traced(t, "Environment=WATCHDOG_USEC=20000\n")
	a, err := r.Run(picture(remedy.HowCore, 128))
	r.must(err)
	if !strings.Contains(a.Error, "half of the time that its watchdog gives it") || len(r.names()) > 0 {
		t.Errorf("%q, left are %v", a.Error, r.names())
	}
	r.Runner, err = act.New(act.Options{Allow: acttest.Everything(), Systemd: r.Watcher, Journal: r.Journal,
		Clock: acttest.Clock(t), Data: r.data, Protected: []string{"a.*"}})
	r.must(err)
	r.Refused(picture(remedy.HowStacks, 1), "is protected", false)
}
