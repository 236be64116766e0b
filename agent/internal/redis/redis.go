// Package redis asks a Redis server over one connection, in the second version of its protocol. Every answer is bounded.
package redis

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/secret"
	"github.com/salveops/salve/pkg/transport"
)

// Target is where to connect to, and as whom. It holds no secret.
type Target struct {
	Address      string `json:"address"`                 // host:port, or unix:/path
	Database     int    `json:"database"`                // number of the database
	User         string `json:"user,omitempty"`          // "": the default user
	PasswordFile string `json:"password_file,omitempty"` // "": no password; read at each connect
	// Secure is for host:port: TLS, with a certificate for that host, from an authority in CAFile or, without one, of the
	// system's.
	Secure bool   `json:"secure,omitempty"`
	CAFile string `json:"ca_file,omitempty"`
}

// most is how many bytes one answer may have: far more than a thousand names of keys usually take.
const most = 4 << 20

// Conn is one connection. It is for one goroutine at a time.
type Conn struct {
	conn net.Conn
	line *transport.Bounded // below it
	in   *bufio.Reader
}

// Error is what the server says against a command.
type Error string

func (e Error) Error() string { return fmt.Sprintf("refused: %.200q", string(e)) }

// Code is the first word of the refusal, such as READONLY.
func (e Error) Code() string {
	code, _, _ := strings.Cut(string(e), " ")
	return code
}

// Connect connects, logs in and selects the database until ctx ends.
func Connect(ctx context.Context, t Target) (*Conn, error) {
	password, err := secret.Read(t.PasswordFile)
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if err := c.enter(ctx, t, password); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func dial(ctx context.Context, t Target) (*Conn, error) {
	network, address := "tcp", t.Address
	if path, ok := strings.CutPrefix(t.Address, "unix:"); ok {
		network, address = "unix", path
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &Conn{line: transport.Bound(conn, most)}
	c.conn = c.line
	if t.Secure {
		if err := c.secure(ctx, t); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	c.in = bufio.NewReader(c.conn)
	return c, nil
}

func (c *Conn) secure(ctx context.Context, t Target) error {
	host, _, err := net.SplitHostPort(t.Address)
	if err != nil {
		return err
	}
	cfg := &tls.Config{ServerName: host, Time: clock.Wall, MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		if cfg.RootCAs, err = transport.Roots(t.CAFile); err != nil {
			return err
		}
	}
	over := tls.Client(c.line, cfg)
	c.conn = over
	return over.HandshakeContext(ctx)
}

func (c *Conn) enter(ctx context.Context, t Target, password string) error {
	if password != "" {
		words := []string{"AUTH", password}
		if t.User != "" {
			words = []string{"AUTH", t.User, password}
		}
		_, err := c.Do(ctx, words...)
		var refused Error
		if errors.As(err, &refused) { // a server that knows no AUTH says what stood behind it, so only the code is told
			err = Error(refused.Code())
		}
		if err != nil {
			return fmt.Errorf("log in: %w", err)
		}
	}
	if t.Database != 0 {
		if _, err := c.Do(ctx, "SELECT", fmt.Sprint(t.Database)); err != nil {
			return fmt.Errorf("select database %d: %w", t.Database, err)
		}
	}
	return nil
}

// Do sends one command and gives its answer. What the server refuses is an Error; after any other error nobody knows what
// became of the command, and the connection is of no use any more.
func (c *Conn) Do(ctx context.Context, words ...string) (Value, error) {
	answers, err := c.Each(ctx, [][]string{words})
	switch {
	case err != nil:
		return Value{}, err
	case answers[0].Err != "":
		return Value{}, answers[0].Err
	}
	return answers[0], nil
}

// Each sends the commands together and gives an answer for each, of which any may be a refusal (Err). What an error means is
// as with Do.
func (c *Conn) Each(ctx context.Context, commands [][]string) ([]Value, error) {
	c.line.Allow(most)
	stop := context.AfterFunc(ctx, func() { _ = c.line.SetDeadline(time.Unix(1, 0)) }) // long ago: ends what waits
	defer stop()
	var wire []byte
	for _, words := range commands {
		wire = Append(wire, words...)
	}
	if _, err := c.conn.Write(wire); err != nil {
		return nil, c.lost(ctx, err)
	}
	answers := make([]Value, len(commands))
	for i := range answers {
		var err error
		if answers[i], err = read(c.in, 0); err != nil {
			return nil, c.lost(ctx, err)
		}
	}
	return answers, nil
}

func (c *Conn) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("ask Redis: %w", err)
}

// Close closes the connection.
func (c *Conn) Close() { _ = c.line.Close() }
