package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/salveops/salve/agent"
	"github.com/salveops/salve/agent/agenttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"--nonsense"}, {"--log-level", "loud"}, {"restart"}, {"reload", "now"},
		{"polkit-rules", "a", "b"}} {
		if code := run(args); code != 2 {
			t.Errorf("exit code of %q is %d, want 2", args, code)
		}
	}
	for _, args := range [][]string{{"--help"}, {"--version"}} {
		if code := run(args); code != 0 {
			t.Errorf("exit code of %q is %d, want 0", args, code)
		}
	}
}

func TestMissingConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agent.hcl")
	if code := run([]string{"--config", file}); code != 1 {
		t.Errorf("exit code without a configuration is %d, want 1", code)
	}
}

// TestReload: what systemd runs as ExecReload= fails exactly when the configuration is refused, or when
// there is no agent.
func TestReload(t *testing.T) {
	m := agenttest.Manager(t)
	dir, err := os.MkdirTemp("/tmp", "salve-reload-") // t.TempDir() may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file, socket := filepath.Join(dir, "agent.hcl"), filepath.Join(dir, "agent.sock")
	good := fmt.Sprintf("data = %q\nsocket = %q\nmetrics = \"\"\n", filepath.Join(dir, "state"), socket)
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reload := []string{"reload", "--config", file}
	write(good)
	if code := run(reload); code != 1 {
		t.Errorf("exit code without an agent is %d, want 1", code)
	}

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- agent.Run(ctx, agent.Options{ConfigFile: file, Systemd: m.Address, Log: hclog.NewNullLogger()})
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	awaitSocket(t, socket)
	for _, c := range []struct {
		text string
		code int
	}{{good, 0}, {good + "nonsense = 1\n", 1}, {good + "autonomy = \"full\"\n", 0}} {
		write(c.text)
		if code := run(reload); code != c.code {
			t.Errorf("exit code of a reload of %q is %d, want %d", c.text, code, c.code)
		}
	}
}

func awaitSocket(t *testing.T, path string) {
	t.Helper()
	agenttest.Eventually(t, func() bool {
		c, err := net.Dial("unix", path)
		if err != nil {
			return false
		}
		return c.Close() == nil
	}, "the agent's socket answers")
}
