package agenttest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/require"
)

// RedisServer is a real Redis without any TCP port.
type RedisServer struct {
	// Address is unix:/path of its socket.
	Address string
	// Password is that of the default user; User has the same one, and may do nothing but PING.
	Password, User string

	process *process
}

// Redis is StartRedis for a test, at whose end it is stopped.
func Redis(t testing.TB, lines ...string) *RedisServer {
	t.Helper()
	r, err := StartRedis(t.TempDir(), lines...)
	Require(t, "Redis", !errors.Is(err, ErrMissing), "install the package redis-server")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

// StartRedis starts a Redis with these lines in its configuration; its files are in dir. Errors: ErrMissing.
func StartRedis(dir string, lines ...string) (*RedisServer, error) {
	program := findProgram("/usr/bin/redis-server")
	if program == "" {
		return nil, fmt.Errorf("Redis: %w", ErrMissing)
	}
	socket := filepath.Join(dir, "redis.sock")
	r := &RedisServer{Address: "unix:" + socket, Password: "hush hush", User: "watcher"}
	conf := filepath.Join(dir, "redis.conf")
	text := "port 0\nsave \"\"\nunixsocket " + socket + "\nrequirepass \"" + r.Password + "\"\n" +
		"user " + r.User + " on \">" + r.Password + "\" -@all +ping\n" +
		strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, conf)
	cmd.Dir = dir
	var err error
	if r.process, err = spawn(cmd, syscall.SIGKILL); err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	err = r.process.answers(func(ctx context.Context) error {
		return says(ctx, socket, "PING\r\n", "-NOAUTH")
	})
	if err != nil {
		r.Stop()
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	return r, nil
}

// Ask says a command to the server, as one line, and returns the first line of what it answers; of a text, its first line.
// An answer that begins with "-" is an error; none within 5 s is one, too.
func (r *RedisServer) Ask(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", strings.TrimPrefix(r.Address, "unix:"))
	if err != nil {
		return "", err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if _, err := fmt.Fprintf(c, "AUTH %q\r\n%s\r\n", r.Password, command); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(c)
	for answer := -1; lines.Scan(); answer++ {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "-"):
			return "", errors.New(line[1:])
		case answer >= 0 && line == "$-1":
			return "", nil // nothing is there
		case answer >= 0 && !strings.HasPrefix(line, "$"): // -1 is that of AUTH
			return strings.TrimLeft(line, "+:"), nil
		}
	}
	return "", errors.Join(lines.Err(), errors.New("Redis has not answered"))
}

// Freeze stops it with SIGSTOP: it accepts connections and answers nothing. Thaw lets it go on.
func (r *RedisServer) Freeze() error { return r.process.freeze() }

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

// FreePort is a port of 127.0.0.1 that nobody else gets until the test ends.
func FreePort(t testing.TB) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(require.Port(t))
	return port
}
