package program

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// controlGroup is a folder with the files that a kernel of version 2 would have made: the controllers are not to be had where
// those of version 1 are mounted, as on the hosts of the tests.
func controlGroup(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLimits(t *testing.T) {
	l := Limits{Memory: 64 << 20, Tasks: 16, CPU: 0.5}
	home := controlGroup(t, t.TempDir(), map[string]string{"cgroup.controllers": "cpuset cpu memory pids\n", "cgroup.procs": "", "cgroup.subtree_control": ""})
	if err := l.Holds(home); err != nil {
		t.Error(err)
	}
	dir := controlGroup(t, filepath.Join(home, "x"), map[string]string{"memory.max": "", "memory.oom.group": "", "pids.max": "", "cpu.max": ""})
	if err := l.set(dir); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"memory.max": "67108864", "memory.oom.group": "1", "pids.max": "16", "cpu.max": "50000 100000"} {
		if text, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(text) != want {
			t.Errorf("%s has %q, %v; want %q", file, text, err, want)
		}
	}
	if err := l.set(controlGroup(t, filepath.Join(home, "y"), nil)); err == nil {
		t.Error("limits were set that the kernel does not have")
	}
	for why, home := range map[string]string{
		"cannot make control groups":  "",
		"lacks the controller memory": controlGroup(t, t.TempDir(), map[string]string{"cgroup.controllers": "cpu pids io", "cgroup.procs": ""}),
		"processes of its own":        controlGroup(t, t.TempDir(), map[string]string{"cgroup.controllers": "cpu pids memory", "cgroup.procs": "1\n"}),
	} {
		if err := l.Holds(home); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
	if err := (Limits{}).Holds(""); err != nil {
		t.Error(err)
	}
}
