package controller

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/pkg/require"
	"github.com/salveops/salve/proto/adminpb"
)

func (s *site) reload() error {
	return Reload(s.t.Context(), Options{ConfigFile: s.file, Log: hclog.NewNullLogger()})
}

// Whoever asks for a reload learns how it went: also what only the running node can refuse.
func TestReload(t *testing.T) {
	s := newSite(t)
	if err := s.reload(); err == nil || !strings.Contains(err.Error(), "does not run") {
		t.Errorf("without a node: %v", err)
	}
	admin, stop := s.run()
	digest := func() string {
		r, err := admin.Status(t.Context(), &adminpb.StatusRequest{})
		if err != nil {
			return ""
		}
		return r.GetConfigDigest()
	}
	s.eventually("it leads", func() bool { return digest() != "" })
	tests := []struct {
		name, rest, http string
		want             string // of the error; "": it is taken
	}{
		{"another number", `service "web" { max_unavailable = 2 }`, s.http, ""},
		{"a mistake", `service "web" { max_unavailabel = 3 }`, s.http, "max_unavailabel"},
		{"a port", `service "web" { max_unavailable = 4 }`, require.Port(t), "takes a restart"},
		{"as before", `service "web" { max_unavailable = 5 }`, s.http, ""},
	}
	for _, tc := range tests {
		before := digest()
		s.http = tc.http
		s.configure(tc.rest)
		err := s.reload()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if tc.want == "" {
			s.eventually(tc.name+" is in force", func() bool { return digest() != before })
		} else if digest() != before {
			t.Errorf("%s: it is in force", tc.name)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := s.reload(); err == nil {
		t.Error("a node that ended has reloaded")
	}
}

// A reload takes certificates that were replaced, and one that is refused leaves the old one.
func TestReloadOfCertificates(t *testing.T) {
	x := newTrust(t)
	s := x.nodes[0]
	old := x.shown(0)
	file := x.path("ctl-1.pem")
	for name, damage := range map[string]func(){
		"no certificate":     func() { x.write(file, []byte("rubbish")) },
		"another node's":     func() { x.write(file, read(t, x.path("ctl-2.pem"))) },
		"a key for everyone": func() { _ = os.Chmod(x.path("ctl-1-key.pem"), 0o644) },
	} {
		whole := read(t, file)
		damage()
		if err := s.reload(); err == nil {
			t.Errorf("%s: it is taken", name)
		}
		if now := x.shown(0); now == nil || !now.Equal(old) {
			t.Errorf("%s: the node shows %v", name, now)
		}
		x.write(file, whole)
		if err := os.Chmod(x.path("ctl-1-key.pem"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	next := InitOptions{CA: x.dir, Dir: filepath.Join(t.TempDir(), "next"), Node: "ctl-1", Addresses: []string{"127.0.0.1"},
		Out: io.Discard, Now: time.Now()}
	if err := Init(next); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ctl-1.pem", "ctl-1-key.pem"} {
		x.write(x.path(name), read(t, filepath.Join(next.Dir, name)))
	}
	if err := s.reload(); err != nil {
		t.Fatal(err)
	}
	if now := x.shown(0); now == nil || identity.Serial(now) == identity.Serial(old) {
		t.Errorf("the node shows %v", now)
	}
}

func (x *trust) write(path string, text []byte) {
	x.t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		x.t.Fatal(err)
	}
}
