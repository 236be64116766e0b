// Package packaging_test holds the packages against what packaging/README.md says of them.
package packaging_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/salveops/salve/agent/agenttest"
)

// names of the packages.
var names = []string{"salve-agent", "salve-controller", "salve"}

// A made-up commit: what is built is the same, whoever builds it.
const (
	version = "v1.2.0"
	commit  = "0123456789abcdef0123456789abcdef01234567"
	date    = "2026-01-02T03:04:05+01:00"
)

// scratch holds what all tests of this package share.
var scratch string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "salve-packages-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	scratch = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

var build struct {
	once sync.Once
	err  error
}

// packages is the folder with the packages for this test, made once: amd64 only, and quickly compressed.
func packages(t *testing.T) string {
	t.Helper()
	needs(t, "dpkg-deb", "dpkg")
	needs(t, "rpm", "rpm")
	_, err := os.Stat(nfpm(t)) // not within the once: a test that is skipped there leaves the next ones nothing
	agenttest.Require(t, "nfpm", err == nil, "make nfpm")
	dir := filepath.Join(scratch, "dist")
	build.once.Do(func() { build.err = pack(t, dir) })
	if build.err != nil {
		t.Fatal(build.err)
	}
	return dir
}

func pack(t *testing.T, dir string, more ...string) error {
	t.Helper()
	cmd := exec.Command("go", append([]string{"run", "./packaging/pack", "--nfpm", nfpm(t), "--out", dir, "--arches", "amd64",
		"--compression", "gzip", "--version", version, "--commit", commit, "--date", date}, more...)...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pack: %w\n%s", err, out)
	}
	return nil
}

// nfpm is where the program is, if it is installed.
func nfpm(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../.tools/nfpm")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func needs(t *testing.T, program, debian string) {
	t.Helper()
	_, err := exec.LookPath(program)
	agenttest.Require(t, program, err == nil, "Debian package "+debian)
}

func deb(t *testing.T, name string) string {
	return filepath.Join(packages(t), name+"_1.2.0-1_amd64.deb")
}

func rpm(t *testing.T, name string) string {
	return filepath.Join(packages(t), name+"-1.2.0-1.x86_64.rpm")
}

// root is a folder in which the files of all packages lie as installed; it is there to be read only.
func root(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(scratch, "root")
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	for _, name := range names {
		output(t, "dpkg-deb", "-x", deb(t, name), dir)
	}
	return dir
}

func output(t *testing.T, command ...string) string {
	t.Helper()
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
	return string(out)
}

// golden holds text against a file in testdata; UPDATE=1 writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("not as in %s:\n%s", file, diff)
	}
}
