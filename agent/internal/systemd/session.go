package systemd

import (
	"context"
	"fmt"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// Calls is go-systemd's connection.
type Calls = sd.Conn

// session follows one connection. Its loop alone changes the watcher's table.
type session struct {
	w *Watcher
	c *conn

	queue   []string // units to read, in order
	asked   map[string]bool
	busy    bool // one read is under way
	answers chan answer
	lists   chan *dbus.Call // the answer to a list; there is room for it
}

// answer is what a read in the background found. Name "" is the system state.
type answer struct {
	name string
	unit Unit
	text string
	kind question
	err  error
}

type question uint8

const (
	askUnit question = iota
	askSystem
	askNothing
)

// begin reads everything afresh. Signals that arrive meanwhile wait in the connection's queue.
func (s *session) begin(ctx context.Context) ([]Event, error) {
	s.list(ctx)
	list, err := unitsOf(<-s.lists)
	if err != nil {
		return nil, err
	}
	state, err := s.c.property(ctx, "SystemState")
	if err != nil {
		return nil, err
	}
	group, err := s.c.property(ctx, "ControlGroup")
	if err != nil {
		return nil, err
	}
	w := s.w
	w.mu.Lock()
	old := w.t
	t := newTable(old.patterns)
	t.system, t.group = state, group
	t.list(list)
	names := t.wanted()
	w.mu.Unlock()

	var units []Unit
	for _, name := range names {
		u, err := s.c.read(ctx, name)
		if err != nil {
			return nil, err
		}
		units = append(units, u)
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.o.Clock.Now().Boot
	var events []Event
	for i, read := range units {
		first := t.unit(read.Name) == nil
		t.install(names[i], read, now)
		if u := t.unit(read.Name); first {
			was := old.unit(u.Name)
			carryOver(u, was)
			events = append(events, Event{Kind: Changed, Unit: *u, Was: activeOf(was), At: now})
		}
	}
	t.patterns = w.t.patterns // Watch may have been called meanwhile; rewatch is set then
	t.expected, t.left = w.t.expected, w.t.left
	w.t, w.conn = t, s.c
	return append(events, Event{Kind: System, At: now}, Event{Kind: Connected, At: now}), nil
}

func activeOf(u *Unit) string {
	if u == nil {
		return ""
	}
	return u.Active
}

// carryOver keeps what was known before the connection was lost about who stopped a unit, if it is
// still the same stop. A unit that went down behind our back counts as seen for the first time.
func carryOver(u, before *Unit) {
	if before != nil && u.Down() && before.Active == u.Active && before.InvocationID == u.InvocationID {
		u.Stopped = before.Stopped
	}
}

// list takes over what systemd has in memory.
func (t *table) list(units []sd.UnitStatus) {
	clear(t.loaded)
	for _, u := range units {
		t.note(u.Path, u.Name, u.ActiveState)
		if u.JobId != 0 && t.jobs[u.JobId] == nil {
			t.jobs[u.JobId] = &job{id: u.JobId, unit: u.Name}
		}
	}
}

func (s *session) loop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.c.raw.Context().Done():
			return ErrDisconnected
		case <-s.w.rewatch:
			s.w.send(ctx, s.unwatch())
			s.ask(s.missing()...)
		case a := <-s.answers:
			s.busy = false
			if a.err != nil {
				return a.err
			}
			s.w.send(ctx, s.take(a))
		case l := <-s.lists:
			if err := s.listed(l); err != nil {
				return err
			}
		case sig, ok := <-s.c.signals:
			if !ok {
				return ErrDisconnected
			}
			if s.c.ownerChanged(sig) {
				return fmt.Errorf("systemd was executed anew: %w", ErrDisconnected)
			}
			if !s.c.believed(sig) {
				continue
			}
			select {
			case l := <-s.lists: // it knows less than the signal, and would take that back
				if err := s.listed(l); err != nil {
					return err
				}
			default:
			}
			s.w.mu.Lock()
			events, do := s.w.t.signal(sig, s.w.o.Clock.Now().Boot)
			s.w.mu.Unlock()
			s.w.send(ctx, events)
			s.follow(do)
		}
		s.next(ctx)
	}
}

// Marks in the queue of names to read; no unit has such a name.
const (
	markList     = "/list"
	markSystem   = "/system"
	markReloaded = "/reloaded" // comes after the units that a reload makes be read
)

func (s *session) follow(do todo) {
	s.ask(do.units...)
	if do.list {
		s.ask(markList)
	}
	if do.system {
		s.ask(markSystem)
	}
}

func (s *session) ask(names ...string) {
	for _, name := range names {
		if !s.asked[name] {
			s.asked[name] = true
			s.queue = append(s.queue, name)
		}
	}
}

// next starts the next read, one at a time, so that systemd has time for its own work.
func (s *session) next(ctx context.Context) {
	if s.busy || len(s.queue) == 0 {
		return
	}
	name := s.queue[0]
	s.queue = s.queue[1:]
	delete(s.asked, name) // a signal that arrives from now on asks again
	s.busy = true
	if name == markList {
		s.list(ctx)
		return
	}
	s.w.mu.RLock()
	arrivals, heard := s.w.t.arrivals, s.w.t.heard
	s.w.mu.RUnlock()
	go func() {
		a := s.query(ctx, name)
		a.unit.arrivals, a.unit.heard = arrivals, heard
		select {
		case s.answers <- a:
		case <-ctx.Done():
		}
	}()
}

// list asks for all units; an error in the answer says that there was none in time.
func (s *session) list(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	context.AfterFunc(ctx, cancel) // nobody waits here
	s.c.list(ctx, s.lists)
}

func (s *session) query(ctx context.Context, name string) (a answer) {
	switch name {
	case markReloaded:
		a.kind = askNothing
	case markSystem:
		a.kind = askSystem
		a.text, a.err = s.c.property(ctx, "SystemState")
	default:
		a.name = name
		a.unit, a.err = s.c.read(ctx, name)
	}
	return a
}

func (s *session) take(a answer) []Event {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.o.Clock.Now().Boot
	switch a.kind {
	case askSystem:
		if w.t.system == a.text {
			return nil
		}
		w.t.system = a.text
		return []Event{{Kind: System, At: now}}
	case askNothing:
		return []Event{{Kind: Reloaded, At: now}}
	}
	if w.t.watched[unitPath(a.unit.Name)] == nil && s.asked[a.unit.Name] {
		return nil // a signal was quicker, and nothing is known yet that it could have changed: the next answer has it
	}
	return w.t.install(a.name, a.unit, now)
}

// listed takes over what systemd has in memory after a reload, and has every watched unit read.
func (s *session) listed(answer *dbus.Call) error {
	s.busy = false
	list, err := unitsOf(answer)
	if err != nil {
		return err
	}
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.list(list)
	s.ask(w.t.wanted()...)
	s.ask(markReloaded)
	return nil
}

// missing are the wanted units that are not watched yet.
func (s *session) missing() []string {
	w := s.w
	w.mu.RLock()
	defer w.mu.RUnlock()
	var names []string
	for _, name := range w.t.wanted() {
		if w.t.unit(name) == nil {
			names = append(names, name)
		}
	}
	return names
}

// unwatch forgets what no pattern asks for any more.
func (s *session) unwatch() []Event {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	keep := map[string]bool{}
	for _, name := range w.t.wanted() {
		if u := w.t.unit(name); u != nil {
			keep[u.Name] = true
		}
	}
	var events []Event
	for p, u := range w.t.watched {
		if !keep[u.Name] {
			events = append(events, Event{Kind: Removed, Unit: *u, Was: u.Active, At: w.o.Clock.Now().Boot})
			w.t.drop(p)
		}
	}
	return events
}
