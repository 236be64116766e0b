package isolate_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
)

// newMark is a rig whose circuit is a file in that folder.
func newMark(t *testing.T) (r *rig, dir, path string) {
	t.Helper()
	r, dir = newRig(t), t.TempDir()
	path = filepath.Join(dir, "degraded")
	r.circuit = &config.Circuit{Name: "payments", File: path}
	return r, dir, path
}

func (r *rig) holds(path, want string) {
	r.t.Helper()
	text, err := os.ReadFile(path)
	if want == "" && !errors.Is(err, os.ErrNotExist) {
		r.t.Errorf("%s is there: %q, %v", path, text, err)
	} else if want != "" && (err != nil || !strings.Contains(string(text), want)) {
		r.t.Errorf("%s has %q, %v; want %q", path, text, err, want)
	}
}

func TestMark(t *testing.T) {
	r, dir, path := newMark(t)
	defer unix.Umask(unix.Umask(0o077)) // as in the agent's unit
	a := r.must(r.request())
	r.holds(path, a.ID+"\nuntil 2")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("the service cannot read it: %v, %v", info.Mode(), err)
	}
	if !r.refused(r.request(), "is there already").Needless {
		t.Error("a file that is there is no needless attempt")
	}
	for range 2 {
		if _, err := r.Undo(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
		r.holds(path, "")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the folder has %v, %v", left, err)
	}
}

// TestMarkOfAnother: a file of somebody else's is neither replaced nor removed.
func TestMarkOfAnother(t *testing.T) {
	r, _, path := newMark(t)
	s, a := acttest.Stage(t, r.kind, r.request())
	if phase, why := r.kind.Settle(t.Context(), a); phase != incident.NotDone {
		t.Errorf("before it ran: %s, %s", phase, why)
	}
	if err := os.WriteFile(path, []byte("by hand\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.kind.Act(t.Context(), s); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a file that came meanwhile: %v", err)
	}
	if err := r.kind.Undo(t.Context(), a); err != nil {
		t.Error(err)
	}
	r.holds(path, "by hand")
	if phase, why := r.kind.Settle(t.Context(), a); phase != incident.NotDone {
		t.Errorf("beside the file of another: %s, %s", phase, why)
	}
}

// TestMarkOutlivesTheAgent: the next process settles the attempt and removes the file in time.
func TestMarkOutlivesTheAgent(t *testing.T) {
	r, _, path := newMark(t)
	r.outlives(incident.Acted)
	r.holds(path, "")
}

func TestMarkThatIsNotSafe(t *testing.T) {
	r, dir, path := newMark(t)
	for mode, want := range map[os.FileMode]string{0o777: "can be changed by others", 0o555: "cannot be written to"} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		r.refused(r.request(), want)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "target")
	if err := errors.Join(os.WriteFile(target, []byte("x\n"), 0o644), os.Symlink(target, path)); err != nil {
		t.Fatal(err)
	}
	r.refused(r.request(), "is there already")
	linked := incident.Attempt{ID: "x", Kind: "isolate", Undo: kind.Raw(map[string]string{"file": path})}
	for _, there := range []func() error{
		func() error { return nil },
		func() error { return os.Mkdir(path, 0o755) },
		func() error { return unix.Mkfifo(path, 0o644) },
	} {
		if err := errors.Join(there(), r.kind.Undo(t.Context(), &linked)); err != nil {
			t.Errorf("undo beside what is no file: %v", err)
		}
		if err := os.Remove(path); err != nil {
			t.Errorf("what is no file was removed: %v", err)
		}
	}
	r.holds(target, linked.ID)
	r.circuit.File = filepath.Join(dir, "none", "degraded")
	r.refused(r.request(), "no such file")
	a := incident.Attempt{ID: "x", Kind: "isolate", Undo: []byte(`{"file":`)}
	if err := r.kind.Undo(t.Context(), &a); err == nil {
		t.Error("a record that is cut off was taken back")
	}
}
