package config

import (
	"path/filepath"
	"testing"

	"github.com/salveops/salve/pkg/defaults"
)

func TestSocketOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.hcl")
	for _, c := range []struct{ src, runtime, want string }{
		{"", "", defaults.Socket},
		{"", "/run/user/1/salve:/other", "/run/user/1/salve/agent.sock"},
		{`socket = "/srv/a.sock"`, "/run/user/1/salve", "/srv/a.sock"},
		{`socket = (`, "/run/user/1/salve", "/run/user/1/salve/agent.sock"},
		{`socket = (`, "", defaults.Socket},
		{"socket = \"/srv/a.sock\"\nnonsense = 1", "", "/srv/a.sock"},
	} {
		t.Setenv("RUNTIME_DIRECTORY", c.runtime)
		write(t, path, []byte(c.src+"\n"))
		if got := SocketOf(path); got != c.want {
			t.Errorf("%q with RUNTIME_DIRECTORY=%s: %s, want %s", c.src, c.runtime, got, c.want)
		}
	}
	if got := SocketOf(filepath.Join(t.TempDir(), "none")); got != defaults.Socket {
		t.Errorf("without a file: %s", got)
	}
}
