// Package backend takes servers of a HAProxy out of their backend, and puts them in again, for the kinds of remedies that do.
package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/haproxy"
)

// patience bounds each question, and each order.
const patience = 5 * time.Second

// Server is one server of a backend of a HAProxy, as a record keeps it.
type Server struct {
	Socket  string `json:"socket"`
	Backend string `json:"backend"`
	Name    string `json:"server"`
}

func (s Server) String() string { return s.Backend + "/" + s.Name }

// Refusal is what HAProxy says to an order that it does not obey.
type Refusal string

func (r Refusal) Error() string { return fmt.Sprintf("HAProxy says %q", string(r)) }

// Tell gives an order. Errors: Refusal, when nothing was done.
func (s Server) Tell(ctx context.Context, order string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	raw, err := haproxy.Ask(ctx, s.Socket, order)
	if said := firstLine(raw); err == nil && said != "" {
		return Refusal(said)
	}
	return err
}

// Put brings the server into the state "ready", "drain" or "maint". Errors: Refusal, when nothing was done.
func (s Server) Put(ctx context.Context, state string) error {
	return s.Tell(ctx, "set server "+s.String()+" state "+state)
}

// Look asks for the state of the backend's servers, and then for their sessions.
func (s Server) Look(ctx context.Context) (States, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	states, err := haproxy.Ask(ctx, s.Socket, "show servers state "+s.Backend)
	if err != nil {
		return nil, err
	}
	stat, err := haproxy.Stat(ctx, s.Socket, s.Backend, 4) // servers
	if err != nil {
		return nil, err
	}
	return parseServers(states, stat)
}

// Check refuses to take the server out unless it takes requests, and others do. It returns the sessions that it has.
func (s Server) Check(ctx context.Context) (sessions int, err error) {
	all, err := s.Look(ctx)
	if err != nil {
		return 0, kind.Unknown("the state of server "+s.String(), err)
	}
	own, others := all.Split(s.Name)
	switch {
	case own == nil:
		return 0, kind.Refuse("backend %s has no server %q", s.Backend, s.Name)
	case own.Admin != 0:
		return 0, kind.Refuse("server %s is in maintenance or drained already: a person wants it so", s)
	case !own.Up():
		return 0, kind.Refuse("server %s is down, and takes no requests", s)
	case others == 0:
		return 0, kind.Refuse("server %s is the last one of its backend that takes requests", s)
	}
	return own.Sessions, nil
}

// Still is the state of a server that was taken out by these bits of State.Admin. An error says why it has to come back:
// somebody changed it meanwhile, or no other one takes requests any more.
func (s Server) Still(ctx context.Context, by int) (*State, error) {
	all, err := s.Look(ctx)
	if err != nil {
		return nil, err
	}
	own, others := all.Split(s.Name)
	switch {
	case own == nil || own.Admin != by:
		return nil, errors.New("somebody changed the state of the server meanwhile")
	case others == 0:
		return nil, errors.New("no other server of the backend takes requests any more")
	}
	return own, nil
}

// Empties waits until the drained server has no session, and counts those that are left after that time. It gives up when
// the server has to come back, as Still says, or the step is told to stop.
func (s Server) Empties(ctx context.Context, step *kind.Step, within time.Duration) (left int, err error) {
	inner, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	kind.Eventually(inner, 50*time.Millisecond, func() bool {
		own, fault := s.Still(ctx, ForcedDrain)
		if err = cmp.Or(step.Halted(ctx), fault); err != nil { // a look that was cut short says less
			return true
		}
		left = own.Sessions
		return left == 0
	})
	return left, err
}

// Restore makes the server ready if it is out by just these bits of State.Admin, and leaves alone what somebody else did.
func (s Server) Restore(ctx context.Context, by int) error {
	out, err := s.Out(ctx, by)
	if err != nil || !out {
		return err
	}
	if err := s.Put(ctx, "ready"); err != nil {
		return fmt.Errorf("make %s ready: %w", s, err)
	}
	return nil
}

// late is how long after HAProxy has answered again an order may still be carried out whose answer was lost: its threads take
// what waited for them side by side.
const late = 250 * time.Millisecond

// Out reports whether the server is out by just these bits of State.Admin, as far as orders go, late ones included.
func (s Server) Out(ctx context.Context, by int) (out bool, err error) {
	look := func() bool {
		all, fault := s.Look(ctx)
		own, _ := all.Split(s.Name)
		out, err = own != nil && own.Admin&(ForcedMaint|ForcedDrain) == by, fault
		return out || err != nil
	}
	if !look() {
		inner, cancel := context.WithTimeout(ctx, late)
		defer cancel()
		kind.Eventually(inner, late/5, look)
	}
	return out, err
}
