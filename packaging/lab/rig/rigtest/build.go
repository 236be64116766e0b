// Package rigtest builds the lab's programs for tests.
package rigtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const module = "github.com/salveops/salve/"

// Service builds the lab service and returns its path.
func Service(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lab-service")
	build(t, path, "packaging/lab/service")
	return path
}

// Controller builds the controller and returns its path.
func Controller(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "salve-controller")
	build(t, path, "controller/cmd/salve-controller")
	return path
}

// Programs are the paths of what is installed, and of the lab service.
type Programs struct {
	Agent, Controller, Salve, Service string
}

// All builds the programs as they are shipped.
func All(t testing.TB) Programs {
	t.Helper()
	dir := t.TempDir()
	p := Programs{
		Agent: filepath.Join(dir, "salve-agent"), Controller: filepath.Join(dir, "salve-controller"),
		Salve: filepath.Join(dir, "salve"), Service: filepath.Join(dir, "lab-service"),
	}
	build(t, p.Agent, "agent/cmd/salve-agent")
	build(t, p.Controller, "controller/cmd/salve-controller")
	build(t, p.Salve, "controller/cmd/salve")
	build(t, p.Service, "packaging/lab/service")
	return p
}

func build(t testing.TB, path, program string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, module+program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // static, also where the test itself is not
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", program, err, out)
	}
}
