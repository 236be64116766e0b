// Package mutant tests the tests: it breaks one rule of the state machine at a time, and wants the schedules
// to notice.
package mutant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mutant is one broken rule: texts of controller/internal/state that are replaced.
type mutant struct {
	name  string
	edits []edit
	// unseen: only the rules notice, for nobody is really taken away too much, or hardly ever.
	unseen bool
}

type edit struct{ file, old, new string }

// Where the mutants live, and what has to find them.
const (
	module    = "github.com/salveops/salve"
	rulesOf   = "controller/internal/state"
	schedules = "controller/controllertest/sim"
	table     = "controller/controllertest/spec"
	root      = "../../.."
)

// runFor is how long one test binary may look for one mutant.
const runFor = 60 * time.Second

func TestMutants(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("short: only the first mutant")
		mutants = mutants[:1]
	}
	part, of := 0, 1
	if text := os.Getenv("MUTANTS"); text != "" {
		if _, err := fmt.Sscanf(text, "%d/%d", &part, &of); err != nil || of < 1 {
			t.Fatalf("MUTANTS=%s: want 1/3 for every third one", text)
		}
	}
	slots := make(chan struct{}, 2) // what builds and runs at a time
	for i, m := range mutants {
		if i%of != part {
			m.overlay(t) // it still fits the files
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			overlay := m.overlay(t)
			caught := look(t, overlay, schedules, "TestSchedules", "FAULT_RUNS=12", "FAULT_STEPS=3000")
			by := "the schedules"
			if !caught {
				caught, by = look(t, overlay, table, "TestStateIsTheTable"), "the table"
			}
			if !caught {
				t.Fatal("nobody noticed")
			}
			t.Logf("%s: found by %s", m.name, by)
			if !m.unseen && !look(t, overlay, schedules, "TestSchedules", "FAULT_RUNS=60", "FAULT_STEPS=4000",
				"FAULT_JUDGE=witness") {
				t.Errorf("%s: the witness, who asks nobody, did not see it", m.name)
			}
		})
	}
}

// overlay writes the broken files and says where they are.
func (m *mutant) overlay(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	texts := map[string]string{}
	for _, e := range m.edits {
		path := absolute(t, filepath.Join(root, rulesOf, e.file))
		if texts[path] == "" {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[path] = string(raw)
		}
		if n := strings.Count(texts[path], e.old); n != 1 {
			t.Fatalf("%s has %d times, and should have once:\n%s", e.file, n, e.old)
		}
		texts[path] = strings.Replace(texts[path], e.old, e.new, 1)
	}
	replace := map[string]string{}
	for path, text := range texts {
		replace[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// look builds a test with the broken files and reports whether it fails, and not for want of a build.
func look(t *testing.T, overlay, pkg, test string, settings ...string) bool {
	t.Helper()
	binary := filepath.Join(filepath.Dir(overlay), filepath.Base(pkg)+".test")
	if _, err := os.Stat(binary); err != nil {
		build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, module+"/"+pkg)
		build.Dir = root
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as all else is built, also when this test looks for races
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("the mutant does not build: %v\n%s", err, out)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), runFor)
	defer cancel()
	run := exec.CommandContext(ctx, binary, "-test.run", "^"+test+"$", "-test.failfast", "-rapid.nofailfile",
		"-rapid.shrinktime=0s", "-rapid.checks=1000") // a rare one needs more than a hundred
	if pkg != table {
		run.Args = run.Args[:4]
	}
	run.Dir = t.TempDir()
	run.Env = append(os.Environ(), settings...)
	var out bytes.Buffer
	run.Stdout, run.Stderr = &out, &out
	err := run.Run()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return false
	case ctx.Err() != nil || !errors.As(err, &failed):
		t.Fatalf("it cannot be told: %v\n%s", err, tail(out.String()))
	}
	if i := strings.Index(out.String(), "WRONG"); i >= 0 {
		t.Logf("%.300s", out.String()[i:])
	}
	return true
}

func tail(s string) string { return s[max(0, len(s)-2000):] }
