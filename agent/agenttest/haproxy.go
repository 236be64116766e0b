package agenttest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Balancer is a real HAProxy.
type Balancer struct {
	// Stats is the path of its stats socket, Front that of the one that takes HTTP requests for the backend "web".
	Stats, Front string

	process *process
}

// HAProxy starts an HAProxy for a test whose backend "web" has these servers, as its configuration names them, and
// stops it at the test's end.
func HAProxy(t testing.TB, servers string) *Balancer {
	t.Helper()
	program := findProgram("/usr/sbin/haproxy")
	Require(t, "HAProxy", program != "", "install the package haproxy")
	dir := t.TempDir()
	b := &Balancer{Stats: filepath.Join(dir, "stats"), Front: filepath.Join(dir, "front")}
	conf := filepath.Join(dir, "haproxy.cfg")
	text := "global\n stats socket " + b.Stats + " mode 600 level admin\n" +
		"defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n timeout queue 60s\n" +
		"frontend f\n bind " + b.Front + "\n default_backend web\nbackend web\n" + servers + "\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.process, err = spawn(exec.Command(program, "-db", "-f", conf), syscall.SIGKILL); err != nil {
		t.Fatalf("start HAProxy: %v", err)
	}
	t.Cleanup(b.Stop)
	err = b.process.answers(func(ctx context.Context) error {
		return says(ctx, b.Stats, "show info\n", "Name: HAProxy")
	})
	if err != nil {
		t.Fatalf("start HAProxy: %v", err)
	}
	return b
}

// Freeze stops it with SIGSTOP: it accepts connections and answers nothing. Thaw lets it go on.
func (b *Balancer) Freeze() error { return b.process.freeze() }

// Thaw ends a Freeze.
func (b *Balancer) Thaw() error { return b.process.cmd.Process.Signal(syscall.SIGCONT) }

// Stop ends it at once, as a crash would.
func (b *Balancer) Stop() { b.process.kill() }

// Command runs one command on the stats socket, whose answer must begin like this.
func (b *Balancer) Command(ctx context.Context, command, want string) error {
	return says(ctx, b.Stats, command+"\n", want)
}
