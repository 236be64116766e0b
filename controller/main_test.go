package controller

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/salveops/salve/pkg/clock"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "salve-controller-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = os.Setenv(clock.TestVariable, filepath.Join(dir, "clock"))
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// jump sets the wall clock of this process, and so of all nodes, ahead until the test ends.
func jump(t *testing.T, by time.Duration) {
	t.Helper()
	file := os.Getenv(clock.TestVariable)
	if err := os.WriteFile(file, []byte(by.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(by)
	t.Cleanup(func() { _ = os.Remove(file) })
	for deadline := time.After(patience); clock.Wall().Before(until); {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatal("the wall clock does not jump")
		}
	}
}
