//go:build lab

package scenario

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/salveops/salve/packaging/lab/booted"
)

// The packages of two releases, by version. Only the number differs.
const (
	release  = "v0.2.0"
	previous = "v0.1.0"
)

// pack makes the packages of a release once, and returns their folder.
var pack = func() func(t testing.TB, version string) string {
	var mu sync.Mutex
	made := map[string]string{}
	return func(t testing.TB, version string) string {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if dir := made[version]; dir != "" {
			return dir
		}
		dir := filepath.Join(scratch, version)
		command(t, "go", "run", "./packaging/pack", "--nfpm", ".tools/nfpm", "--out", dir, "--arches", "amd64",
			"--formats", "deb", "--compression", "gzip", "--version", version,
			"--commit", strings.Repeat("0123456789", 4), "--date", "2026-01-02T03:04:05Z")
		made[version] = dir
		return dir
	}
}()

// tryInstall puts packages onto a host with dpkg, as a person would.
func (f *fleet) tryInstall(h *booted.Host, version string, names ...string) error {
	args := []string{"dpkg", "--install"}
	for _, name := range names {
		file := fmt.Sprintf("%s_%s-1_amd64.deb", name, strings.TrimPrefix(version, "v"))
		if err := copyFile(h, filepath.Join(pack(f.t, version), file), "/root/"+file, 0o644); err != nil {
			return err
		}
		args = append(args, "/root/"+file)
	}
	_, err := h.Exec(f.ctx(), append([]string{"env", "DEBIAN_FRONTEND=noninteractive"}, args...)...)
	return err
}

// copyFile puts a file of this machine onto a host.
func copyFile(h *booted.Host, from, to string, mode os.FileMode) error {
	src, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return h.Write(to, string(src), mode)
}

// share copies a file from one host to another.
func share(from *booted.Host, path string, to *booted.Host, as string, mode os.FileMode) error {
	text, err := from.Read(path)
	if err != nil {
		return err
	}
	return to.Write(as, text, mode)
}

// each does something on several hosts at once, and ends the test at the first error.
func (f *fleet) each(hosts []*booted.Host, do func(context.Context, *booted.Host) error) {
	f.t.Helper()
	errs := make(chan error, len(hosts))
	for _, h := range hosts {
		go func() { errs <- do(f.ctx(), h) }()
	}
	for range hosts {
		if err := <-errs; err != nil {
			f.t.Error(err)
		}
	}
	if f.t.Failed() {
		f.t.FailNow()
	}
}
