package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/redis"
	"github.com/salveops/salve/pkg/secret"
)

// redisProtocol sends PING to Redis, or to what speaks its protocol. That takes a line of text, and no client.
type redisProtocol struct {
	endpoint
	user, passwordFile string
}

func newRedis(t Target) redisProtocol {
	p := redisProtocol{endpoint: dialed(t.Redis), user: t.User, passwordFile: t.PasswordFile}
	if t.Secure {
		p.endpoint = p.secured(p.host())
	}
	return p
}

func (p redisProtocol) dial(ctx context.Context, deadline time.Time) (*conn, error) {
	password, err := secret.Read(p.passwordFile)
	if err != nil {
		return nil, err
	}
	c, err := p.open(ctx, deadline)
	if err != nil || password == "" {
		return c, err
	}
	words := []string{"AUTH", password}
	if p.user != "" {
		words = []string{"AUTH", p.user, password}
	}
	text, err := command(c, deadline, words...)
	var refused redisError
	switch {
	case errors.As(err, &refused): // a server that knows no AUTH says what stood behind it, so only its code is told
		code, _, _ := strings.Cut(string(refused), " ")
		err = redisError(code)
	case err == nil && text != "OK":
		err = errors.New("unexpected answer")
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("log in: %w", err)
	}
	return c, nil
}

func (p redisProtocol) sound(c *conn) bool { return c.quiet() }

func (p redisProtocol) exchange(_ context.Context, c *conn, deadline time.Time) (answer, fate) {
	text, err := command(c, deadline, "PING")
	var refused redisError
	switch {
	case errors.As(err, &refused):
		return answer{answered: true, err: err}, drop
	case err != nil:
		return answer{err: fmt.Errorf("ask: %w", err)}, lost(err)
	case text != "PONG":
		return answer{answered: true, err: fmt.Errorf("unexpected answer %.100q", text)}, drop
	case c.in.Buffered() > 0:
		return answer{answered: true}, drop
	}
	return answer{answered: true}, keep
}

// redisError is what the server says against a command.
type redisError string

func (e redisError) Error() string { return fmt.Sprintf("refused: %.200q", string(e)) }

// command sends one command and reads its answer, which is one line.
func command(c *conn, deadline time.Time, words ...string) (string, error) {
	_ = c.SetDeadline(deadline) // fails only on a closed connection, and then so does Write
	c.limit.N = readBuffer
	if _, err := c.Write(redis.Append(nil, words...)); err != nil {
		return "", err
	}
	raw, err := c.in.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	line, ended := strings.CutSuffix(string(raw), "\r\n")
	switch {
	case ended && strings.HasPrefix(line, "+"):
		return line[1:], nil
	case ended && strings.HasPrefix(line, "-"):
		return "", redisError(line[1:])
	}
	return "", redisError(line) // whatever it is, it is no answer to these commands
}
