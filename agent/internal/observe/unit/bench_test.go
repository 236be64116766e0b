package unit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
)

// sleepers starts n processes, each in a control group of its own, and returns a sampler of them.
func sleepers(t testing.TB, n int, needed func(string, string) bool, hierarchies ...string) *observed {
	t.Helper()
	layout, err := Detect("")
	if err != nil {
		t.Fatal(err)
	}
	probe := newRealUnit(t, hierarchies...) // finds out whether this machine can do it
	s := newObserved(t, Options{Layout: layout, Needed: needed})
	var targets []Target
	for i := range n {
		targets = append(targets, Target{Name: fmt.Sprintf("s%03d.service", i)})
	}
	s.values(func(b *source.Batch) { s.SetTargets(targets, 0, b) })
	for i, target := range targets {
		cmd := exec.Command("sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		group := fmt.Sprintf("%s-%d", probe.group, i)
		for _, h := range hierarchies {
			dir := filepath.Join("/sys/fs/cgroup", h, group)
			err := os.Mkdir(dir, 0o755)
			t.Cleanup(func() { removeGroup(t, dir) })
			err2 := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0)
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		s.Started(target.Name, Run{ControlGroup: group, MainPID: cmd.Process.Pid})
	}
	return s
}

func all(string, string) bool { return true }

func BenchmarkUnitSample100(b *testing.B) {
	own := []string{"unified", "systemd"}
	v1 := append(own, "cpu", "cpuacct", "pids", "memory")
	for _, bb := range []struct {
		name        string
		needed      func(string, string) bool
		hierarchies []string
	}{
		{"processes", cheap, own}, {"controllers", cheap, v1}, {"processes-everything", all, own},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s := sleepers(b, 100, bb.needed, bb.hierarchies...)
			now := time.Duration(0)
			tick := func() {
				now += time.Second
				batch := s.book.Batch()
				s.Sample(now, batch)
				batch.Release()
			}
			for range 3 {
				tick()
			}
			b.ReportAllocs()
			for b.Loop() {
				tick()
			}
		})
	}
}

// BenchmarkEarlyLook100 is a look at the memory of 100 units between two samples: of a host that has as much memory left as
// before, and of one that has less each time.
func BenchmarkEarlyLook100(b *testing.B) {
	for name, meminfo := range map[string]string{"steady": "MemAvailable: 1000 kB\n", "sinking": "MemFree: 1000 kB\n"} {
		b.Run(name, func(b *testing.B) {
			s := sleepers(b, 100, cheap, "unified", "systemd")
			host := newHost(b, version2)
			host.write("proc/meminfo", meminfo)
			s.left = newReserve(host.root)
			now := time.Duration(0)
			look := func() {
				for _, u := range s.units {
					u.next, u.nextMem = now+time.Hour, now
				}
				batch := s.book.Batch()
				s.Sample(now, batch)
				batch.Release()
				now += Least
			}
			for _, u := range s.units { // opens the files
				u.next = 0
			}
			s.Sample(now, s.book.Batch())
			b.ReportAllocs()
			for b.Loop() {
				look()
			}
		})
	}
}

func TestSampleDoesNotAllocate(t *testing.T) {
	s := sleepers(t, 5, all, "unified", "systemd")
	now := time.Duration(0)
	tick := func() {
		now += time.Second
		batch := s.book.Batch()
		s.Sample(now, batch)
		batch.Release()
	}
	for range 3 {
		tick()
	}
	if n := testing.AllocsPerRun(30, tick); n != 0 {
		t.Errorf("a sample allocates %v times", n)
	}
}
