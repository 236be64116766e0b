package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/haproxy"
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
	place
	Sessions int `json:"sessions"`
}

// place is one server of a backend of a HAProxy.
type place struct {
	Socket  string `json:"socket"`
	Backend string `json:"backend"`
	Server  string `json:"server"`
}

func (p place) String() string { return p.Backend + "/" + p.Server }

func (drainer) describe(s *kind.Step) string {
	before, _ := s.Before.(drained)
	return fmt.Sprintf("drain server %s of pool %s for at most %s, shut down the sessions that it has then (now %d), and make it ready",
		before.place, s.Target, argsOf(s.Request).Wait, before.Sessions)
}

func (drainer) precheck(ctx context.Context, s *kind.Step, p *config.Pool) error {
	at := place{p.HAProxy, p.Backend, argsOf(s.Request).Server}
	if at.Server == "" {
		return kind.Refuse("reset_pool names no server")
	}
	all, err := at.look(ctx)
	if err != nil {
		return kind.Unknown("the servers of pool "+s.Target, err)
	}
	own, others := all.split(at.Server)
	switch {
	case own == nil:
		return kind.Refuse("backend %s has no server %q", at.Backend, at.Server)
	case own.Admin != 0:
		return kind.Refuse("server %s is in maintenance or drained already: a person wants it so", at)
	case !own.up():
		return kind.Refuse("server %s is down, and takes no requests that could be drained", at)
	case others == 0:
		return kind.Refuse("server %s is the last one of its backend that takes requests", at)
	}
	s.Before = drained{moded{remedy.Drain}, at, own.Sessions}
	s.Undo, s.For = at, argsOf(s.Request).Wait+restoreWithin
	return nil
}

func (d drainer) act(ctx context.Context, s *kind.Step) error {
	before := s.Before.(drained)
	err := before.tell(ctx, "set server "+before.String()+" state drain")
	var no refusal
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
		return fmt.Errorf("drain %s: %w", before.place, err)
	}
	s.After = drained{before.moded, before.place, left}
	return nil
}

// goneAfter is how long sessions may take to go that were shut down.
const goneAfter = 2 * time.Second

// empty waits for the sessions of the drained server to end, and shuts those down that have not. It counts what is left.
func (d drained) empty(ctx context.Context, s *kind.Step) (left int, err error) {
	if left, err = d.await(ctx, s, argsOf(s.Request).Wait); err != nil || left == 0 {
		return left, err
	}
	if err = d.tell(ctx, "shutdown sessions server "+d.String()); err != nil {
		return left, err
	}
	return d.await(ctx, s, goneAfter)
}

// await waits until the drained server has no session. It gives up when that would take away what is needed: because
// somebody changed the server's state meanwhile, or no other one takes requests any more; and when it is told to stop.
func (d drained) await(ctx context.Context, s *kind.Step, within time.Duration) (left int, err error) {
	inner, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	kind.Eventually(inner, 50*time.Millisecond, func() bool {
		all, fault := d.look(ctx)
		own, others := all.split(d.Server)
		switch ended := s.Halted(ctx); {
		case ended != nil:
			err = ended
		case fault != nil:
			err = fault
		case own == nil || own.Admin != forcedDrain:
			err = errors.New("somebody changed the state of the server meanwhile")
		case others == 0:
			err = errors.New("no other server of the backend takes requests any more")
		default:
			left = own.Sessions
			return left == 0
		}
		return true
	})
	return left, err
}

// restore makes the server ready if it is drained, and leaves it alone if somebody put it into maintenance.
func (drainer) restore(ctx context.Context, undo json.RawMessage) error {
	var at place
	if err := json.Unmarshal(undo, &at); err != nil {
		return fmt.Errorf("read what it takes to make a server ready: %w", err)
	}
	all, err := at.look(ctx)
	if err != nil {
		return err
	}
	own, _ := all.split(at.Server)
	if own == nil || own.Admin&forcedDrain == 0 || own.Admin&forcedMaint != 0 {
		return nil
	}
	if err := at.tell(ctx, "set server "+at.String()+" state ready"); err != nil {
		return fmt.Errorf("make %s ready: %w", at, err)
	}
	return nil
}

func (drainer) settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	var was drained
	if err := json.Unmarshal(a.Before, &was); err != nil {
		return incident.Unknown, "there is no evidence from before"
	}
	all, err := was.look(ctx)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	if own, _ := all.split(was.Server); own != nil && own.Admin&forcedDrain != 0 {
		a.For = 1 // nobody waits any more for what it was drained for
		return incident.Acted, "the server was left drained, and is being made ready"
	}
	a.Undo, a.For = nil, 0
	return incident.Unknown, "the server is not drained; whether it was cannot be told"
}

// refusal is what HAProxy says to an order that it does not obey.
type refusal string

func (r refusal) Error() string { return fmt.Sprintf("HAProxy says %q", string(r)) }

// tell gives an order. Errors: refusal.
func (p place) tell(ctx context.Context, order string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	raw, err := haproxy.Ask(ctx, p.Socket, order)
	if said := firstLine(raw); err == nil && said != "" {
		return refusal(said)
	}
	return err
}
