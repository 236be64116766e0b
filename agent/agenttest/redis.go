package agenttest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// RedisServer is a real Redis without any TCP port.
type RedisServer struct {
	// Address is unix:/path of its socket.
	Address string
	// Password is that of the default user; User has the same one, and may do nothing but PING.
	Password, User string

	process *process
}

// Redis starts a Redis for a test, with these lines in its configuration, and stops it at its end.
func Redis(t testing.TB, lines ...string) *RedisServer {
	t.Helper()
	program := findProgram("/usr/bin/redis-server")
	Require(t, "Redis", program != "", "install the package redis-server")
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	r := &RedisServer{Address: "unix:" + socket, Password: "hush hush", User: "watcher"}
	conf := filepath.Join(dir, "redis.conf")
	text := "port 0\nsave \"\"\nunixsocket " + socket + "\nrequirepass \"" + r.Password + "\"\n" +
		"user " + r.User + " on \">" + r.Password + "\" -@all +ping\n" +
		strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, conf)
	cmd.Dir = dir
	var err error
	if r.process, err = spawn(cmd, syscall.SIGKILL); err != nil {
		t.Fatalf("start Redis: %v", err)
	}
	t.Cleanup(r.Stop)
	err = r.process.answers(func(ctx context.Context) error {
		return says(ctx, socket, "PING\r\n", "-NOAUTH")
	})
	if err != nil {
		t.Fatalf("start Redis: %v", err)
	}
	return r
}

// Freeze stops it with SIGSTOP: it accepts connections and answers nothing. Thaw lets it go on.
func (r *RedisServer) Freeze() error { return r.process.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (r *RedisServer) Thaw() error { return r.process.cmd.Process.Signal(syscall.SIGCONT) }

// Stop ends it at once, as a crash would.
func (r *RedisServer) Stop() { r.process.kill() }

// says asks over a socket once, and checks how the answer begins.
func says(ctx context.Context, socket, question, want string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	if _, err := c.Write([]byte(question)); err != nil {
		return err
	}
	answer := make([]byte, 512)
	n, err := c.Read(answer)
	if !bytes.HasPrefix(answer[:n], []byte(want)) {
		return errors.Join(err, errors.New("unexpected answer "+string(answer[:n])))
	}
	return nil
}

// FreePort is a port of 127.0.0.1 that nobody listens on.
func FreePort(t testing.TB) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(freeAddress(t))
	return port
}
