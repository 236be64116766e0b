// Package pool is the kind of remedy that resets connection pools.
package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
)

// Kind makes a PgBouncer pool replace its connections to the database. RECONNECT is gentle: each
// server connection is replaced when it becomes free, no client is cut, and the pool never stops, so
// there is nothing that could be left half done.
type Kind struct{ kind.NoUndo }

// New prepares the kind.
func New(*kind.Host) Kind { return Kind{} }

// evidence is the pool's server connections at one moment.
type evidence struct {
	Console  address `json:"console"`
	Database string  `json:"database"`
	Servers  int     `json:"servers"`          // connections to the database
	Closing  int     `json:"closing"`          // of these: to be replaced when they become free
	Oldest   string  `json:"oldest,omitempty"` // when the oldest that is not closing was made, by PgBouncer's clock
}

// address is how the console is reached, without any secret, so that an attempt can be settled
// after a restart with another configuration.
type address struct {
	Address      string `json:"address"`
	User         string `json:"user"`
	PasswordFile string `json:"password_file,omitempty"`
	Secure       bool   `json:"secure,omitempty"`
	CAFile       string `json:"ca_file,omitempty"`
}

func (Kind) Target(_ context.Context, q kind.Request) (string, error) {
	if _, err := poolOf(q); err != nil {
		return "", err
	}
	return q.Remedy.Args.Names(), nil
}

func poolOf(q kind.Request) (*config.Pool, error) {
	name := q.Remedy.Args.Names()
	if name == "" {
		return nil, kind.Refuse("reset_pool names no pool")
	}
	if q.Remedy.Service != nil {
		for _, p := range q.Remedy.Service.Pools {
			if p.Name == name && p.PgBouncer == "" {
				return nil, kind.Refuse("pool %q is not one of PgBouncer", name)
			}
			if p.Name == name {
				return p, nil
			}
		}
	}
	return nil, kind.Refuse("the service has no pool %q", name)
}

func (Kind) Describe(s *kind.Step) string {
	return "make pool " + s.Target + " replace its connections to the database"
}

func (Kind) Precheck(ctx context.Context, s *kind.Step) error {
	p, err := poolOf(s.Request)
	if err != nil {
		return err
	}
	at := address{Address: p.PgBouncer, User: p.User, PasswordFile: p.PasswordFile, Secure: p.Secure, CAFile: p.CAFile}
	c, err := openConsole(ctx, at)
	if err != nil {
		return kind.Unknown("the state of pool "+s.Target, err)
	}
	defer c.close()
	if err := c.runs(ctx, p.Database); err != nil {
		return err
	}
	before, err := c.servers(ctx, p.Database)
	if err != nil {
		return kind.Unknown("the connections of pool "+s.Target, err)
	}
	before.Console = at
	s.Before = before
	return nil
}

func (Kind) Act(ctx context.Context, s *kind.Step) error {
	before := s.Before.(evidence)
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
		return fmt.Errorf("reconnect pool: %w: %w", kind.ErrLost, err)
	}
	after, err := c.servers(ctx, before.Database)
	if err != nil {
		return nil // it is done; only the evidence is missing
	}
	after.Console = before.Console
	s.After = after
	return nil
}

// Quiet is true: nothing of a reset goes on once the console has answered.
func (Kind) Quiet(*incident.Attempt) bool { return true }

// Settle compares the server connections: a reconnect marks every one that was there.
func (Kind) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	var was evidence
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
