package rollbackfiles_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/rollbackfiles"
	"github.com/salveops/salve/agent/internal/snapshot"
)

const killedEnv = "ROLLBACKFILES_TEST_KILLED"

// states makes the two states of 40 files in a folder, and keeps them: all are in both, but for one in each.
func states(t *testing.T, dir string) (set snapshot.Set, store *snapshot.Store, from, to *snapshot.Manifest) {
	t.Helper()
	set = snapshot.Set{Path: filepath.Join(dir, "conf"), Globs: []string{"*"}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(set.Path, 0o755))
	must(os.MkdirAll(filepath.Join(dir, "data"), 0o700))
	store, err := snapshot.Create(filepath.Join(dir, "data"), "shop")
	must(err)
	t.Cleanup(store.Close)
	state := func(text, own, other string) *snapshot.Manifest {
		for i := range 40 {
			must(os.WriteFile(filepath.Join(set.Path, strings.Repeat("x", i+1)), []byte(text), 0o644))
		}
		must(os.WriteFile(filepath.Join(set.Path, own), nil, 0o644))
		must(os.RemoveAll(filepath.Join(set.Path, other)))
		m, err := store.Save(set)
		must(err)
		return m
	}
	to = state("good", "old", "new")
	return set, store, state("worse", "new", "old"), to
}

// TestKilled kills processes at whatever moment while they put files back and forth: each file is as it is in one of the two
// states, always, and whole; and what was done by half can be taken back.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(killedEnv); dir != "" {
		set, store, from, to := states(t, dir)
		os.Stdout.WriteString("x")
		for { // never ends: it is the process that is killed
			if _, err := rollbackfiles.Put(t.Context(), store, "", from, to); err != nil {
				t.Fatal(err)
			}
			if now, err := set.Take(); err != nil || now.ID() != to.ID() {
				t.Fatal(now, err)
			}
			from, to = to, from
		}
	}
	t.Parallel()
	for i := range 7 {
		dir := t.TempDir()
		acttest.Kill(t, "TestKilled", killedEnv+"="+dir, time.Duration(i)*5*time.Millisecond, func() {
			text, err := os.ReadFile(filepath.Join(dir, "conf", "xxx"))
			if err != nil || string(text) != "good" && string(text) != "worse" {
				t.Fatalf("somebody reads %q, %v", text, err)
			}
		})
		mend(t, dir)
	}
}

// mend checks what the process left, and takes it back.
func mend(t *testing.T, dir string) {
	t.Helper()
	store, err := snapshot.Open(filepath.Join(dir, "data"), "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	all, err := filepath.Glob(filepath.Join(dir, "data/snapshots/of-shop/*.manifest"))
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	var two []*snapshot.Manifest
	for _, at := range all {
		m, err := store.Load(strings.TrimSuffix(filepath.Base(at), ".manifest"))
		if err != nil {
			t.Fatal(err)
		}
		two = append(two, m)
	}
	now, err := two[0].Take()
	if err != nil || !rollbackfiles.Between(now, two[0], two[1]) {
		t.Fatalf("%+v, %v", now, err)
	}
	rollbackfiles.Sweep("", two[0], two[1])
	if now.ID() != two[0].ID() {
		if _, err := rollbackfiles.Put(t.Context(), store, "", now, two[0]); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(two[0].Path)
	if after, takes := two[0].Take(); err != nil || takes != nil || after.ID() != two[0].ID() || len(files) != len(two[0].Files) {
		t.Errorf("%d files are left, %v, %v", len(files), err, takes)
	}
}
