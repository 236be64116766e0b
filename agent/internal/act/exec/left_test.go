package exec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a program leaves behind is found by its environment; other processes are not taken for it.
func TestLeft(t *testing.T) {
	proc := t.TempDir()
	quiet := func(proc, attempt string) bool {
		pids, err := left(proc, attempt)
		return err == nil && len(pids) == 0
	}
	process := func(pid, env string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(proc, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "environ"), []byte(strings.ReplaceAll(env, ",", "\x00")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if quiet(proc, "i-1") {
		t.Error("quiet although no process can be seen")
	}
	process("9", "PATH=/bin,X=SALVE_ATTEMPT=i-1,")
	process("2", "SALVE_ATTEMPT=i-12,PATH=/bin,")
	if !quiet(proc, "i-1") {
		t.Error("not quiet because of others")
	}
	for pid, env := range map[string]string{"3": "SALVE_ATTEMPT=i-1,PATH=/bin,", "4": "PATH=/bin,SALVE_ATTEMPT=i-1,"} {
		process(pid, env)
		if quiet(proc, "i-1") {
			t.Errorf("quiet although %q runs", env)
		}
		if err := os.RemoveAll(filepath.Join(proc, pid)); err != nil {
			t.Fatal(err)
		}
	}
}
