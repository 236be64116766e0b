// Package pool is the kind of remedy that resets connection pools.
package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/postgres"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Kind resets a pool in the mode that the remedy names.
type Kind struct{}

// New prepares the kind.
func New(*kind.Host) Kind { return Kind{} }

// mode is one way to reset a pool. Its methods are those of kind.Kind.
type mode interface {
	describe(s *kind.Step) string
	precheck(ctx context.Context, s *kind.Step, p *config.Pool) error
	act(ctx context.Context, s *kind.Step) error
	settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string)
	// restore puts a pool back into service that act took out. Nothing is wrong if it is in service.
	restore(ctx context.Context, undo json.RawMessage) error
}

// modeOf is nil of a name that no mode has.
func modeOf(name string) mode {
	switch name {
	case remedy.Reconnect, remedy.Pause, remedy.KillPool:
		return bouncer{name}
	case remedy.Terminate:
		return terminator{}
	case remedy.Drain:
		return drainer{}
	case remedy.CallReset:
		return caller{}
	}
	return nil
}

// moded is the part of the evidence that says which mode it is of.
type moded struct {
	Mode string `json:"mode"`
}

func recorded(a *incident.Attempt) mode {
	var m moded
	_ = json.Unmarshal(a.Before, &m) // what cannot be read is of no mode
	return modeOf(m.Mode)
}

// restoreWithin is how long it is tried to put a pool back into service, before that is left to the dead man's switch.
const restoreWithin = 3 * time.Second

// restoreNow puts the pool back into service, whatever the context of the action says: clients wait.
func restoreNow(ctx context.Context, s *kind.Step, m mode) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreWithin)
	defer cancel()
	var err error
	if !kind.Eventually(ctx, 100*time.Millisecond, func() bool {
		err = m.restore(ctx, kind.Raw(s.Undo))
		return err == nil
	}) {
		return fmt.Errorf("%w: pool %s may be out of service until it answers again: %w", kind.ErrLost, s.Target, err)
	}
	inService(s)
	return nil
}

// inService says of a step that its pool is in service, so that whoever takes it out from now on is somebody else.
func inService(s *kind.Step) { s.Undo, s.For = nil, 0 }

func argsOf(q kind.Request) *remedy.PoolArgs { return q.Remedy.Args.(*remedy.PoolArgs) }

// Target implements kind.Kind.
func (Kind) Target(_ context.Context, q kind.Request) (string, error) {
	if _, err := poolOf(q); err != nil {
		return "", err
	}
	return argsOf(q).Pool, nil
}

func poolOf(q kind.Request) (*config.Pool, error) {
	a := argsOf(q)
	if a.Pool == "" {
		return nil, kind.Refuse("reset_pool names no pool")
	}
	if q.Remedy.Service != nil {
		for _, p := range q.Remedy.Service.Pools {
			if p.Name == a.Pool && !slices.Contains(remedy.ResetModes(p.Source()), a.Mode) {
				return nil, kind.Refuse("pool %q is of the kind %s, which has no mode %q", a.Pool, p.Source(), a.Mode)
			}
			if p.Name == a.Pool {
				return p, nil
			}
		}
	}
	return nil, kind.Refuse("the service has no pool %q", a.Pool)
}

// Describe implements kind.Kind.
func (Kind) Describe(s *kind.Step) string { return modeOf(argsOf(s.Request).Mode).describe(s) }

// Precheck implements kind.Kind.
func (Kind) Precheck(ctx context.Context, s *kind.Step) error {
	p, err := poolOf(s.Request)
	if err != nil {
		return err
	}
	return modeOf(argsOf(s.Request).Mode).precheck(ctx, s, p)
}

// Act implements kind.Kind.
func (Kind) Act(ctx context.Context, s *kind.Step) error {
	return modeOf(argsOf(s.Request).Mode).act(ctx, s)
}

// Undo implements kind.Kind: it is there for pools that were left out of service.
func (Kind) Undo(ctx context.Context, a *incident.Attempt) error {
	m := recorded(a)
	if m == nil {
		return kind.Refuse("what was done to pool %s is not recorded", a.Target)
	}
	return m.restore(ctx, a.Undo)
}

// Settle implements kind.Kind.
func (Kind) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	m := recorded(a)
	if m == nil {
		return incident.Unknown, "there is no evidence from before"
	}
	return m.settle(ctx, a)
}

// Repeatable implements kind.Kind: a pool that is in service stays as it is.
func (Kind) Repeatable() bool { return true }

// Quiet implements kind.Kind: nothing of a reset goes on once the server has answered.
func (Kind) Quiet(*incident.Attempt) bool { return true }

// address is how PgBouncer's console or PostgreSQL is reached, without any secret, so that an attempt can be settled
// after a restart with another configuration.
type address struct {
	Address      string `json:"address"`
	User         string `json:"user"`
	PasswordFile string `json:"password_file,omitempty"`
	Secure       bool   `json:"secure,omitempty"`
	CAFile       string `json:"ca_file,omitempty"`
}

func addressOf(p *config.Pool, at string) address {
	return address{Address: at, User: p.User, PasswordFile: p.PasswordFile, Secure: p.Secure, CAFile: p.CAFile}
}

func (a address) connect(ctx context.Context, database string) (*postgres.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return postgres.Connect(ctx, postgres.Target{
		Address: a.Address, Database: database, User: a.User, PasswordFile: a.PasswordFile, Secure: a.Secure, CAFile: a.CAFile,
	})
}

// askTimeout bounds connecting to a server, and each question that has no earlier end.
const askTimeout = 5 * time.Second

// ask asks one question.
func ask(ctx context.Context, c *postgres.Conn, question string, args ...string) (postgres.Table, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return c.Ask(ctx, question, args...)
}

// refused reports whether the server itself said that it does not do what it was asked. What it says when it hangs up
// is no such answer.
func refused(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Severity == "ERROR"
}
