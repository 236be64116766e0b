package agenttest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// MemcachedServer is a real memcached without any TCP port.
type MemcachedServer struct {
	// Address is unix:/path of its socket.
	Address string

	process *process
}

// Memcached starts a memcached for a test, with more arguments, and stops it at its end.
func Memcached(t testing.TB, args ...string) *MemcachedServer {
	t.Helper()
	program := findProgram("/usr/bin/memcached")
	Require(t, "memcached", program != "", "install the package memcached")
	dir, err := os.MkdirTemp("/tmp", "salve-memcached-") // t.TempDir() may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	m := &MemcachedServer{Address: "unix:" + socket}
	args = append([]string{"-u", "root", "-t", "1", "-s", socket}, args...)
	if m.process, err = spawn(exec.Command(program, args...), syscall.SIGKILL); err != nil {
		t.Fatalf("start memcached: %v", err)
	}
	t.Cleanup(m.Stop)
	if err := m.process.answers(func(ctx context.Context) error { return says(ctx, socket, "version\r\n", "") }); err != nil {
		t.Fatalf("start memcached: %v", err)
	}
	return m
}

// Freeze stops it with SIGSTOP: it accepts connections and answers nothing. Thaw lets it go on.
func (m *MemcachedServer) Freeze() error { return m.process.freeze() }

// Thaw ends a Freeze.
func (m *MemcachedServer) Thaw() error { return m.process.cmd.Process.Signal(syscall.SIGCONT) }

// Stop ends it at once, as a crash would.
func (m *MemcachedServer) Stop() { m.process.kill() }
