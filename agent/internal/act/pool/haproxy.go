package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/agent/internal/act/backend"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// drainer takes one server of a HAProxy out, ends the sessions that it still has after a while, and takes it in again:
//
//	intent ─► drain ─► wait ─► shutdown sessions ─► ready ─► result
//	              └── agent died here: the next one finds it drained, and makes it ready at once
type drainer struct{}

// drained is a server, and what it had to do at one moment.
type drained struct {
	moded
	backend.Server
	Sessions int `json:"sessions"`
}

func (drainer) describe(s *kind.Step) string {
	before, _ := s.Before.(drained)
	return fmt.Sprintf("drain server %s of pool %s for at most %s, shut down the sessions that it has then (now %d), and make it ready",
		before.Server, s.Target, argsOf(s.Request).Wait, before.Sessions)
}

func (drainer) precheck(ctx context.Context, s *kind.Step, p *config.Pool) error {
	at := backend.Server{Socket: p.HAProxy, Backend: p.Backend, Name: argsOf(s.Request).Server}
	if at.Name == "" {
		return kind.Refuse("reset_pool names no server")
	}
	sessions, err := at.Check(ctx)
	if err != nil {
		return err
	}
	s.Before = drained{moded{remedy.Drain}, at, sessions}
	s.Undo, s.For = at, argsOf(s.Request).Wait+restoreWithin
	return nil
}

func (d drainer) act(ctx context.Context, s *kind.Step) error {
	before := s.Before.(drained)
	if _, err := before.Check(ctx); err != nil { // a drain ends a maintenance, which a person may just have begun
		inService(s)
		return fmt.Errorf("nothing was done: %w", err)
	}
	err := before.Put(ctx, "drain")
	var no backend.Refusal
	if errors.As(err, &no) {
		inService(s)
		return fmt.Errorf("nothing was done: %w", err)
	}
	left := 0
	if err == nil {
		left, err = before.empty(ctx, s)
	}
	if back := restoreNow(ctx, s, d); back != nil {
		return back
	}
	if err != nil {
		return fmt.Errorf("drain %s: %w", before.Server, err)
	}
	s.After = drained{before.moded, before.Server, left}
	return nil
}

// goneAfter is how long sessions may take to go that were shut down.
const goneAfter = 2 * time.Second

// empty waits for the sessions of the drained server to end, and shuts those down that have not. It counts what is left.
func (d drained) empty(ctx context.Context, s *kind.Step) (left int, err error) {
	if left, err = d.Empties(ctx, s, argsOf(s.Request).Wait); err != nil || left == 0 {
		return left, err
	}
	if err = d.Tell(ctx, "shutdown sessions server "+d.String()); err != nil {
		return left, err
	}
	return d.Empties(ctx, s, goneAfter)
}

// restore makes the server ready if it is drained, and leaves it alone if somebody put it into maintenance.
func (drainer) restore(ctx context.Context, undo json.RawMessage) error {
	var at backend.Server
	if err := json.Unmarshal(undo, &at); err != nil {
		return fmt.Errorf("read what it takes to make a server ready: %w", err)
	}
	return at.Restore(ctx, backend.ForcedDrain)
}

func (drainer) settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	var was drained
	if err := json.Unmarshal(a.Before, &was); err != nil {
		return incident.Unknown, "there is no evidence from before"
	}
	out, err := was.Out(ctx, backend.ForcedDrain)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	if out {
		a.For = 1 // nobody waits any more for what it was drained for
		return incident.Acted, "the server was left drained, and is being made ready"
	}
	a.Undo, a.For = nil, 0
	return incident.Unknown, "the server is not drained; whether it was cannot be told"
}
