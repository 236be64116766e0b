// Package postgres asks a PostgreSQL server, or the console of PgBouncer, over one connection.
package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/secret"
	"github.com/salveops/salve/pkg/transport"
)

// Target is where to connect to, and as whom.
type Target struct {
	Address      string // host:port, or the path of a socket, which is named .s.PGSQL.PORT
	Database     string // Console is PgBouncer's console
	User         string
	PasswordFile string // "": no password
	// Secure is for host:port: the server must show a certificate for that host, from an authority in CAFile or, without
	// one, of the system's. Otherwise a TCP connection is encrypted if the server can do that, and who answers is not
	// known.
	Secure bool
	CAFile string // read at each connect
	// Most is how many bytes one answer may have, and all that is said while connecting. 0 means 4 MiB: the console's
	// answer about as many pools as there may be.
	Most int64
}

// Console is the database that stands for PgBouncer's console.
const Console = "pgbouncer"

const (
	defaultMost = 4 << 20
	// goodbye is how long the other side has to listen when the connection is closed.
	goodbye = 100 * time.Millisecond
)

// connecting marks the context of a dial that is to log in. Any other is for a request to cancel what was asked last.
type connecting struct{}

// errNoCancel: PgBouncer resumes all that a person has paused when any question to its console is cancelled, even one by a user
// who may only look. What is cut short there is just hung up on.
var errNoCancel = errors.New("the console of PgBouncer is sent no request to cancel")

// Conn is one connection. It is for one goroutine at a time.
type Conn struct {
	pg   *pgconn.PgConn
	line *transport.Bounded // below it
	most int64
}

// Connect connects and logs in until ctx ends.
func Connect(ctx context.Context, t Target) (*Conn, error) {
	cfg, err := t.config()
	if err != nil {
		return nil, err
	}
	if t.Most == 0 {
		t.Most = defaultMost
	}
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if t.Database == Console && ctx.Value(connecting{}) == nil {
			return nil, errNoCancel
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return transport.Bound(conn, t.Most), nil
	}
	pg, err := pgconn.ConnectConfig(context.WithValue(ctx, connecting{}, true), cfg)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	raw := pg.Conn()
	if secured, ok := raw.(*tls.Conn); ok {
		raw = secured.NetConn()
	}
	return &Conn{pg: pg, line: raw.(*transport.Bounded), most: t.Most}, nil // nobody else dials
}

// config names everything, so that no PG… variable of the environment has a say.
func (t Target) config() (*pgconn.Config, error) {
	host, port, err := t.endpoint()
	if err != nil {
		return nil, err
	}
	cfg, err := pgconn.ParseConfig("sslmode=disable passfile=/dev/null servicefile=/dev/null")
	if err != nil {
		return nil, fmt.Errorf("configure connection: %w", err)
	}
	cfg.Host, cfg.Port, cfg.Database, cfg.User = host, port, t.Database, t.User
	cfg.RuntimeParams = map[string]string{"application_name": "salve"}
	cfg.Fallbacks = nil
	if !filepath.IsAbs(host) {
		// Not by sslmode: what that means depends on the host that ParseConfig finds, which may be a socket.
		cfg.TLSConfig = &tls.Config{ServerName: host, Time: clock.Wall, MinVersion: tls.VersionTLS12}
		switch {
		case !t.Secure:
			cfg.TLSConfig.InsecureSkipVerify = true
			cfg.Fallbacks = []*pgconn.FallbackConfig{{Host: host, Port: port}}
		case t.CAFile != "":
			if cfg.TLSConfig.RootCAs, err = transport.Roots(t.CAFile); err != nil {
				return nil, err
			}
		}
	}
	cfg.Password, err = secret.Read(t.PasswordFile)
	return cfg, err
}

// endpoint splits "/run/postgresql/.s.PGSQL.6432" or "127.0.0.1:6432".
func (t Target) endpoint() (host string, port uint16, err error) {
	var text string
	if filepath.IsAbs(t.Address) {
		dir, file := filepath.Split(t.Address)
		name, ok := strings.CutPrefix(file, ".s.PGSQL.")
		if !ok {
			return "", 0, fmt.Errorf("read address: socket %s is not named .s.PGSQL.PORT", t.Address)
		}
		host, text = filepath.Clean(dir), name
	} else if host, text, err = net.SplitHostPort(t.Address); err != nil {
		return "", 0, fmt.Errorf("read address: %w", err)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("read address: %s has no port from 1 to 65535", t.Address)
	}
	return host, uint16(n), nil
}

// Ask runs one command. After an error the connection may be of no use any more. A refusal by the server is a
// *pgconn.PgError. With args, which are what $1, $2 and so on stand for, it is one statement in the extended protocol,
// which the console of PgBouncer does not speak.
func (c *Conn) Ask(ctx context.Context, command string, args ...string) (Table, error) {
	c.line.Allow(c.most)
	var results []*pgconn.Result
	var err error
	if len(args) == 0 {
		results, err = c.pg.Exec(ctx, command).ReadAll()
	} else {
		values := make([][]byte, len(args))
		for i, arg := range args {
			values[i] = []byte(arg)
		}
		result := c.pg.ExecParams(ctx, command, values, nil, nil, nil).Read()
		results, err = []*pgconn.Result{result}, result.Err
	}
	if err != nil {
		return Table{}, fmt.Errorf("ask: %w", err)
	}
	var t Table
	for _, r := range results {
		for _, f := range r.FieldDescriptions {
			t.Columns = append(t.Columns, f.Name)
		}
		for _, row := range r.Rows {
			cells := make([]string, len(row))
			for i, cell := range row {
				cells[i] = string(cell)
			}
			t.Rows = append(t.Rows, cells)
		}
	}
	return t, nil
}

// Close says goodbye if the other side still listens, without waiting long for it.
func (c *Conn) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	return c.pg.Close(ctx)
}
