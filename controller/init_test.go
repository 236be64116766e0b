package controller

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/pkg/require"
)

// ownerOf is the user of a file, and its mode.
func ownerOf(t *testing.T, path string) (uint32, os.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid, info.Mode().Perm()
}

// What root makes is the controller's, whose user reads it, and an operator's file is the person's.
func TestInitByRoot(t *testing.T) {
	require.Root(t, "nobody else gives files away")
	const controller, person = 54321, 54322
	top := t.TempDir()
	data := filepath.Join(top, "data")
	if err := durable.Mkdir(data, 0o700, &durable.Owner{UID: controller, GID: controller}); err != nil {
		t.Fatal(err)
	}
	o := InitOptions{Dir: filepath.Join(top, "tls"), Node: "ctl-1", Addresses: []string{"ctl-1"}, Operator: "ann", Role: "admin",
		Data: data, Person: &durable.Owner{UID: person, GID: person}, Out: io.Discard, Now: time.Now()}
	if err := Init(o); err != nil {
		t.Fatal(err)
	}
	second := InitOptions{CA: o.Dir, Dir: filepath.Join(top, "ctl-2"), Node: "ctl-2", Addresses: []string{"ctl-2"}, Data: data,
		Out: io.Discard, Now: time.Now()}
	if err := Init(second); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		uid  uint32
		mode os.FileMode
	}{
		"tls":                  {controller, 0o711},
		"tls/ca.pem":           {controller, 0o644},
		"tls/ca-key.pem":       {controller, 0o600},
		"tls/ctl-1.pem":        {controller, 0o644},
		"tls/ctl-1-key.pem":    {controller, 0o600},
		"tls/operator-ann.pem": {person, 0o600},
		"ctl-2":                {controller, 0o711},
		"ctl-2/ca.pem":         {controller, 0o644},
		"ctl-2/ctl-2-key.pem":  {controller, 0o600},
	} {
		if uid, mode := ownerOf(t, filepath.Join(top, path)); uid != want.uid || mode != want.mode {
			t.Errorf("%s: user %d, mode %o; want %d, %o", path, uid, mode, want.uid, want.mode)
		}
	}
	if uid, _ := ownerOf(t, top); uid != 0 {
		t.Errorf("the folder above belongs to %d", uid)
	}
}

// The controller's user cannot have root write elsewhere, and nothing that is there is written over or given away.
func TestInitFollowsNobody(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "tls")
	if err := Init(InitOptions{Dir: dir, Operator: "ann", Role: "admin", Out: io.Discard, Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	prey := filepath.Join(top, "prey")
	if err := os.WriteFile(prey, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ctl-1-key.pem", "ctl-2.pem", "operator-bob.pem"} {
		if err := os.Symlink(prey, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(top, "nowhere"), filepath.Join(dir, "operator-eve.pem")); err != nil {
		t.Fatal(err)
	}
	for _, o := range []InitOptions{
		{Node: "ctl-1", Addresses: []string{"ctl-1"}}, {Node: "ctl-2", Addresses: []string{"ctl-2"}},
		{Operator: "bob", Role: "viewer"}, {Operator: "eve", Role: "viewer"}, {Operator: "ann", Role: "viewer"},
	} {
		o.CA, o.Out, o.Now = dir, io.Discard, time.Now()
		if err := Init(o); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("%s%s: %v", o.Node, o.Operator, err)
		}
	}
	if text, err := os.ReadFile(prey); err != nil || string(text) != "precious" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := os.Lstat(filepath.Join(top, "nowhere")); err == nil {
		t.Error("a link was followed")
	}
}
