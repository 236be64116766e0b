package act

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
)

// resetter makes a PgBouncer pool replace its connections to the database. RECONNECT is gentle: each
// server connection is replaced when it becomes free, no client is cut, and the pool never stops, so
// there is nothing that could be left half done.
type resetter struct{ *Runner }

// poolEvidence is the pool's server connections at one moment.
type poolEvidence struct {
	Console  poolConsole `json:"console"`
	Database string      `json:"database"`
	Servers  int         `json:"servers"`          // connections to the database
	Closing  int         `json:"closing"`          // of these: to be replaced when they become free
	Oldest   string      `json:"oldest,omitempty"` // when the oldest that is not closing was made, by PgBouncer's clock
}

// poolConsole is how the console is reached, without any secret, so that an attempt can be settled
// after a restart with another configuration.
type poolConsole struct {
	Address      string `json:"address"`
	User         string `json:"user"`
	PasswordFile string `json:"password_file,omitempty"`
}

func (resetter) target(_ context.Context, q Request) (string, error) {
	if _, err := poolOf(q); err != nil {
		return "", err
	}
	return q.Remedy.Args.Pool, nil
}

func poolOf(q Request) (*config.Pool, error) {
	name := q.Remedy.Args.Pool
	if name == "" {
		return nil, refuse("reset_pool names no pool")
	}
	if q.Remedy.Service != nil {
		for _, p := range q.Remedy.Service.Pools {
			if p.Name == name && p.PgBouncer == "" {
				return nil, refuse("pool %q is not one of PgBouncer", name)
			}
			if p.Name == name {
				return p, nil
			}
		}
	}
	return nil, refuse("the service has no pool %q", name)
}

func (resetter) describe(s *step) string {
	return "make pool " + s.target + " replace its connections to the database"
}

func (k resetter) precheck(ctx context.Context, s *step) error {
	p, err := poolOf(s.Request)
	if err != nil {
		return err
	}
	at := poolConsole{Address: p.PgBouncer, User: p.User, PasswordFile: p.PasswordFile}
	c, err := openConsole(ctx, at)
	if err != nil {
		return unknown("the state of pool "+s.target, err)
	}
	defer c.close()
	if err := c.runs(ctx, p.Database); err != nil {
		return err
	}
	before, err := c.servers(ctx, p.Database)
	if err != nil {
		return unknown("the connections of pool "+s.target, err)
	}
	before.Console = at
	s.before = before
	return nil
}

func (k resetter) act(ctx context.Context, s *step) error {
	before := s.before.(poolEvidence)
	c, err := openConsole(ctx, before.Console)
	if err != nil {
		return fmt.Errorf("nothing was done: %w", err)
	}
	defer c.close()
	if _, err := c.ask(ctx, "RECONNECT "+quoteName(before.Database)); err != nil {
		var refusal *pgconn.PgError
		if errors.As(err, &refusal) {
			return fmt.Errorf("reconnect pool: %w", err)
		}
		return fmt.Errorf("reconnect pool: %w: %w", errLost, err)
	}
	after, err := c.servers(ctx, before.Database)
	if err != nil {
		return nil // it is done; only the evidence is missing
	}
	after.Console = before.Console
	s.after = after
	return nil
}

func (resetter) undo(_ context.Context, a *incident.Attempt) error {
	return refuse("%s cannot be taken back: the old connections are gone", a.Remedy)
}

func (resetter) repeatable() bool { return true }

// settle compares the server connections: a reconnect marks every one that was there.
func (k resetter) settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	var was poolEvidence
	if err := json.Unmarshal(a.Before, &was); err != nil {
		return incident.Unknown, "there is no evidence from before"
	}
	c, err := openConsole(ctx, was.Console)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	defer c.close()
	now, err := c.servers(ctx, was.Database)
	switch {
	case err != nil:
		return incident.Unknown, err.Error()
	case was.Servers == was.Closing:
		return incident.Unknown, "the pool had no connection by which it could be told"
	case now.Servers > now.Closing && now.Oldest == was.Oldest:
		return incident.NotDone, "the connection from " + was.Oldest + " is still in use"
	}
	return incident.Acted, "the connections from before are gone or being closed"
}
