package pool

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// bouncer makes a pool of PgBouncer replace its connections to the database.
//
// RECONNECT is gentle: each connection is replaced when it becomes free, no client is cut, and the pool never stops. PAUSE
// waits until all are free, and KILL for nothing; both leave the database paused, and who asked may be gone then:
//
//	intent ─► PAUSE or KILL ─► RESUME ─► result
//	                   └── agent died here: the next one finds it paused, and resumes it at once
type bouncer struct{ mode string }

// evidence is what the pool's connections are at one moment.
type evidence struct {
	moded
	front
	connections
}

// front is a database of a PgBouncer.
type front struct {
	Console  address `json:"console"`
	Database string  `json:"database"`
}

type connections struct {
	Servers int      `json:"servers"`          // connections to the database
	Closing int      `json:"closing"`          // of these: to be replaced when they become free
	Oldest  string   `json:"oldest,omitempty"` // that is not closing: when it was made, by PgBouncer's clock, and what tells it from others
	open    []string // those that are not closing
}

func (b bouncer) describe(s *kind.Step) string {
	switch b.mode {
	case remedy.Pause:
		return fmt.Sprintf("pause pool %s until its queries end, for at most %s, and resume it with new connections", s.Target,
			argsOf(s.Request).Wait)
	case remedy.KillPool:
		return fmt.Sprintf("cut off all clients and connections of pool %s, and resume it", s.Target)
	}
	return "make pool " + s.Target + " replace its connections to the database"
}

func (b bouncer) precheck(ctx context.Context, s *kind.Step, p *config.Pool) error {
	at := front{addressOf(p, p.PgBouncer), p.Database}
	c, err := openConsole(ctx, at.Console)
	if err != nil {
		return kind.Unknown("the state of pool "+s.Target, err)
	}
	defer c.close()
	if err := cmp.Or(c.alone(ctx, at.Console), c.runs(ctx, at.Database)); err != nil {
		return err
	}
	now, err := c.servers(ctx, at.Database)
	if err != nil {
		return kind.Unknown("the connections of pool "+s.Target, err)
	}
	s.Before = evidence{moded{b.mode}, at, now}
	if b.mode != remedy.Reconnect {
		s.Undo, s.For = at, argsOf(s.Request).Wait+restoreWithin
	}
	return nil
}

func (b bouncer) act(ctx context.Context, s *kind.Step) error {
	before := s.Before.(evidence)
	c, err := openConsole(ctx, before.Console)
	if err == nil {
		defer c.close()
		err = c.runs(ctx, before.Database) // KILL does not mind that it is paused, and a person may just have done that
	}
	if err != nil {
		inService(s)
		return fmt.Errorf("nothing was done: %w", err)
	}
	if b.mode == remedy.Reconnect {
		_, err = c.ask(ctx, "RECONNECT "+quoteName(before.Database))
	} else {
		err = b.stop(ctx, c, s)
	}
	switch {
	case refused(err), errors.Is(err, kind.ErrLost), errors.Is(err, errBusy), errors.Is(err, kind.ErrHalt):
		return fmt.Errorf("%s pool: %w", b.mode, err)
	case err != nil:
		return fmt.Errorf("%s pool: %w: %w", b.mode, kind.ErrLost, err)
	}
	if now, err := c.servers(ctx, before.Database); err == nil { // else it is done, and only the evidence is missing
		s.After = evidence{before.moded, before.front, now}
	}
	return nil
}

// errBusy says that queries went on for longer than a pause may last.
var errBusy = errors.New("queries did not end in time; the pool goes on with the connections that they use")

// stop pauses or kills the database, and resumes it whatever came of that.
func (b bouncer) stop(ctx context.Context, c *console, s *kind.Step) error {
	command, wait := "KILL ", askTimeout
	if b.mode == remedy.Pause {
		command, wait = "PAUSE ", argsOf(s.Request).Wait
	}
	wctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	go func() {
		select {
		case <-s.Halt: // clients wait for no longer than they must
			cancel()
		case <-wctx.Done():
		}
	}()
	_, err := c.c.Ask(wctx, command+quoteName(s.Before.(evidence).Database))
	if refused(err) { // so it does when a person was quicker
		inService(s)
		return err
	}
	if back := restoreNow(ctx, s, b); back != nil {
		return back
	}
	if err != nil && b.mode == remedy.Pause && wctx.Err() != nil {
		return cmp.Or(s.Halted(ctx), errBusy)
	}
	return err
}

// restore resumes the database, if it is paused.
func (bouncer) restore(ctx context.Context, undo json.RawMessage) error {
	var at front
	if err := json.Unmarshal(undo, &at); err != nil {
		return fmt.Errorf("read what resuming needs: %w", err)
	}
	c, err := openConsole(ctx, at.Console)
	if err != nil {
		return err
	}
	defer c.close()
	if d, err := c.database(ctx, at.Database); err != nil || !d.paused {
		return err
	}
	if _, err := c.ask(ctx, "RESUME "+quoteName(at.Database)); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	return nil
}

// settle compares the server connections: a reset closes every one that was there, or marks it.
func (b bouncer) settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	var was evidence
	if err := json.Unmarshal(a.Before, &was); err != nil {
		return incident.Unknown, "there is no evidence from before"
	}
	c, err := openConsole(ctx, was.Console)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	defer c.close()
	d, err := c.database(ctx, was.Database)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	if b.mode != remedy.Reconnect && d.paused {
		a.For = 1 // nobody waits any more for what the pause was for
		return incident.Acted, "the database was left paused, and is being resumed"
	}
	a.Undo, a.For = nil, 0
	now, err := c.servers(ctx, was.Database)
	switch {
	case err != nil:
		return incident.Unknown, err.Error()
	case was.Servers == was.Closing:
		return incident.Unknown, "the pool had no connection by which it could be told"
	case slices.Contains(now.open, was.Oldest):
		return incident.NotDone, "the connection from " + was.Oldest + " is still in use"
	}
	return incident.Acted, "the connections from before are gone or being closed"
}
