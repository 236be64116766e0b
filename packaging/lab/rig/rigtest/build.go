// Package rigtest builds the lab's programs for tests.
package rigtest

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Service builds the lab service and returns its path.
func Service(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lab-service")
	cmd := exec.Command("go", "build", "-o", path, "github.com/salveops/salve/packaging/lab/service")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build lab service: %v\n%s", err, out)
	}
	return path
}
