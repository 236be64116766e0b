// Package isolate is the kind of remedy that cuts a service off from a dependency for a time, so that it fails at once
// instead of waiting.
package isolate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/salveops/salve/agent/internal/act/backend"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Kind cuts circuits. Make it with New. What it does is marked with the attempt's ID where it is done, so that only that
// is taken back, and an attempt is settled by what is there.
type Kind struct {
	*kind.Host
	user     int // that Salve's own connections belong to
	changing *sync.Mutex
}

// New prepares the kind.
func New(h *kind.Host) Kind { return Kind{Host: h, user: os.Geteuid(), changing: new(sync.Mutex)} }

// cut is what is cut off, as a record keeps it. One of all is set, and Slice may be with To.
type cut struct {
	To     []netip.AddrPort `json:"to,omitempty"`
	Slice  *slice           `json:"slice,omitempty"`
	File   string           `json:"file,omitempty"`
	Server *server          `json:"server,omitempty"`
	Switch *toggle          `json:"switch,omitempty"`
}

// breaker is one way to cut a dependency off.
type breaker interface {
	// describe says in one phrase what make does.
	describe() string
	// check refuses what must not or cannot be cut now.
	check(ctx context.Context) error
	// make cuts it off for that time, whole or not at all. An error that wraps errNothing says that there is nothing to mend.
	make(ctx context.Context, id string, d time.Duration) error
	// mend lets through again what the attempt of that ID cut off, if anything.
	mend(ctx context.Context, id string) error
	// made reports whether anything is cut off by the attempt of that ID.
	made(ctx context.Context, id string) (bool, error)
}

// errNothing says that nothing of an attempt is left that would have to be taken back.
var errNothing = errors.New("nothing has changed")

func (k Kind) breaker(c cut) breaker {
	switch {
	case c.File != "":
		return mark{path: c.File, clock: k.Clock}
	case c.Server != nil:
		return *c.Server
	case c.Switch != nil:
		return *c.Switch
	}
	return filter{to: c.To, from: c.Slice, user: k.user, changing: k.changing}
}

func argsOf(q kind.Request) *remedy.IsolateArgs { return q.Remedy.Args.(*remedy.IsolateArgs) }

func circuitOf(q kind.Request) (*config.Circuit, error) {
	name := argsOf(q).Circuit
	if name == "" {
		return nil, kind.Refuse("isolate names no circuit")
	}
	if q.Remedy.Service != nil {
		if c := q.Remedy.Service.Circuit(name); c != nil {
			return c, nil
		}
	}
	return nil, kind.Refuse("the service has no circuit %q", name)
}

// cutOf is what the circuit names; nothing is refused, never everything.
func cutOf(c *config.Circuit) (cut, error) {
	found := cut{File: c.File}
	for _, at := range c.Addresses {
		for _, port := range c.Ports {
			found.To = append(found.To, netip.AddrPortFrom(at, uint16(port)))
		}
	}
	if c.Server != "" {
		found.Server = &server{backend.Server{Socket: c.HAProxy, Backend: c.Backend, Name: c.Server}, c.State}
	}
	if c.On != "" && c.Off != "" {
		found.Switch = &toggle{c.On, c.Off}
	}
	ways := 0
	for _, there := range []bool{len(found.To) > 0, found.File != "", found.Server != nil, found.Switch != nil} {
		if there {
			ways++
		}
	}
	if ways != 1 {
		return cut{}, kind.Refuse("circuit %q names nothing to cut off", c.Name)
	}
	return found, nil
}

// Target implements kind.Kind.
func (Kind) Target(_ context.Context, q kind.Request) (string, error) {
	c, err := circuitOf(q)
	if err != nil {
		return "", err
	}
	return c.Name, nil
}

// Describe implements kind.Kind.
func (k Kind) Describe(s *kind.Step) string {
	return fmt.Sprintf("cut off %s for %s: %s", s.Target, s.For, k.breaker(s.Undo.(cut)).describe())
}

// Precheck implements kind.Kind.
func (k Kind) Precheck(ctx context.Context, s *kind.Step) error {
	c, err := circuitOf(s.Request)
	if err != nil {
		return err
	}
	what, err := cutOf(c)
	if err != nil {
		return err
	}
	if d := argsOf(s.Request).For; d < remedy.ShortestCut || d > remedy.LongestCut {
		return kind.Refuse("a circuit is cut for %s to %s, not for %s", remedy.ShortestCut, remedy.LongestCut, d)
	}
	if c.Slice != "" {
		if what.Slice, err = k.sliceOf(ctx, s.Remedy.Service, c.Slice); err != nil {
			return err
		}
	}
	if what.Switch != nil {
		switch told, err := k.told(*what.Switch); {
		case err != nil:
			return kind.Unknown("whether the service was told to do without "+s.Target, err)
		case told != nil && told.On == what.Switch.On:
			return kind.Needless("the service was told to do without %s already", s.Target)
		case told != nil:
			return kind.Refuse("what ends it would end another attempt as well, which lasts: POST to %s", told.Off)
		}
	}
	if err := k.breaker(what).check(ctx); err != nil {
		return err
	}
	for _, to := range what.To {
		s.Detail = append(s.Detail, to.String())
	}
	s.Undo, s.For = what, argsOf(s.Request).For
	return nil
}

// told is what an attempt that lasts has told the service by one of these addresses; nil: there is none. It cannot be asked, and
// that attempt's end would be the end of another one as well. Names of circuits are those of one service; so the addresses count.
func (k Kind) told(t toggle) (*toggle, error) {
	past, err := k.Attempts(kind.LongestLimit)
	for _, a := range past {
		var what cut
		over := slices.Contains([]incident.Phase{incident.Refused, incident.NotDone, incident.Undone}, a.Phase)
		if a.Kind == string(remedy.Isolate) && !over && a.For > 0 && json.Unmarshal(a.Undo, &what) == nil &&
			what.Switch != nil && (what.Switch.On == t.On || what.Switch.Off == t.Off) {
			return what.Switch, nil
		}
	}
	return nil, err
}

// Act implements kind.Kind.
func (k Kind) Act(ctx context.Context, s *kind.Step) error {
	err := k.breaker(s.Undo.(cut)).make(ctx, s.Attempt.ID, s.For)
	if errors.Is(err, errNothing) {
		s.Undo, s.For = nil, 0
	}
	return err
}

// Undo implements kind.Kind. What ended by itself is mended.
func (k Kind) Undo(ctx context.Context, a *incident.Attempt) error {
	b, err := k.recorded(a)
	if err != nil {
		return err
	}
	return b.mend(ctx, a.ID)
}

func (k Kind) recorded(a *incident.Attempt) (breaker, error) {
	var what cut
	if err := json.Unmarshal(a.Undo, &what); err != nil {
		return nil, kind.Refuse("the record does not say what was cut off: %v", err)
	}
	return k.breaker(what), nil
}

// tick is how much earlier the kernel may end something than it was told: a jiffy, at most.
const tick = 10 * time.Millisecond

// Settle implements kind.Kind.
func (k Kind) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	b, err := k.recorded(a)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	switch made, err := b.made(ctx, a.ID); {
	case err != nil:
		return incident.Unknown, err.Error()
	case made:
		return incident.Acted, a.Target + " is cut off by this attempt"
	case a.Intended.Age(clock.Now(k.Clock)) >= a.For-tick:
		return incident.Unknown, a.Target + " is not cut off any more, whether or not it was"
	}
	return incident.NotDone, a.Target + " is not cut off"
}

// Repeatable is true: what is let through already stays so.
func (Kind) Repeatable() bool { return true }

// Quiet is true: nothing runs while a circuit is cut.
func (Kind) Quiet(*incident.Attempt) bool { return true }
