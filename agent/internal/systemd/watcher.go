package systemd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/clock"
)

// Options of a Watcher.
type Options struct {
	// Bus is "system", "user", or the address "unix:path=…" of a manager's private socket.
	Bus   string
	Clock clock.Clock
	Log   hclog.Logger // nil: silent
}

// Watcher follows the units that it was told to watch. All its methods may be called at any time from
// any goroutine; Run does the work.
//
//	dial ─► subscribe ─► read everything ─► Connected ─► signals ─┐
//	 ▲                                                            │ connection lost,
//	 └──────────────── back-off ◄───────────────── Disconnected ◄─┘ systemd re-executed
type Watcher struct {
	o       Options
	events  chan Event
	rewatch chan struct{} // the patterns changed

	mu   sync.RWMutex
	t    *table
	conn *conn // nil while disconnected
}

// Back-off between attempts to connect.
const (
	firstDelay = 50 * time.Millisecond
	lastDelay  = 5 * time.Second
)

// New makes a watcher of nothing.
func New(o Options) *Watcher {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return &Watcher{
		o:       o,
		events:  make(chan Event, 256),
		rewatch: make(chan struct{}, 1),
		t:       newTable(nil),
	}
}

// Events delivers what happened, in order. Somebody must read it.
func (w *Watcher) Events() <-chan Event { return w.events }

// Watch replaces the patterns: exact names, and globs that match existing units.
func (w *Watcher) Watch(patterns []string) {
	w.mu.Lock()
	w.t.patterns = slices.Clone(patterns)
	w.mu.Unlock()
	select {
	case w.rewatch <- struct{}{}:
	default:
	}
}

// Run connects, follows, and connects again, until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	delay := firstDelay
	for {
		up, err := w.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if up {
			w.o.Log.Warn("connection to systemd lost", "error", err)
			delay = firstDelay
		} else if delay == firstDelay {
			w.o.Log.Warn("cannot connect to systemd, trying on", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
		}
		delay = min(2*delay, lastDelay)
	}
}

// session lives as long as one connection; up says whether it ever worked.
func (w *Watcher) session(ctx context.Context) (up bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := dial(ctx, w.o.Bus)
	if err != nil {
		return false, err
	}
	defer c.Close()
	s := &session{w: w, c: c, answers: make(chan answer), asked: map[string]bool{},
		lists: make(chan *dbus.Call, 1)}
	events, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	w.o.Log.Info("connected to systemd", "bus", w.o.Bus)
	defer w.disconnect(ctx)
	w.send(ctx, events)
	return true, s.loop(ctx)
}

// disconnect makes everything unknown.
func (w *Watcher) disconnect(ctx context.Context) {
	w.mu.Lock()
	w.conn = nil
	for _, e := range w.t.expected {
		select {
		case <-e.lost:
		default:
			close(e.lost)
		}
	}
	w.mu.Unlock()
	w.send(ctx, []Event{{Kind: Disconnected, At: w.o.Clock.Now().Boot}})
}

func (w *Watcher) send(ctx context.Context, events []Event) {
	for _, e := range events {
		select {
		case w.events <- e:
		case <-ctx.Done():
			return
		}
	}
}

// Unit is what is known of a watched unit; false when it is not watched, or nothing can be known at
// the moment. Aliases work.
func (w *Watcher) Unit(name string) (Unit, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if u := w.t.unit(name); u != nil && w.conn != nil {
		return *u, true
	}
	return Unit{}, false
}

// Units are all watched units, sorted by name; none while disconnected.
func (w *Watcher) Units() []Unit {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.conn == nil {
		return nil
	}
	units := make([]Unit, 0, len(w.t.watched))
	for _, u := range w.t.watched {
		units = append(units, *u)
	}
	slices.SortFunc(units, func(a, b Unit) int { return cmp.Compare(a.Name, b.Name) })
	return units
}

// Match are the existing units whose primary name matches the pattern, sorted: those in systemd's
// memory, and a watched one of exactly that name.
func (w *Watcher) Match(pattern string) []string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	var names []string
	one := []string{pattern}
	for _, l := range w.t.loaded {
		if matches(one, l.name) {
			names = append(names, l.name)
		}
	}
	if u := w.t.unit(pattern); u != nil && u.Load != "not-found" {
		names = append(names, u.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Active is the state of any unit, watched or not; "inactive" for one that systemd has not in memory,
// "" while disconnected.
func (w *Watcher) Active(name string) string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.conn == nil {
		return ""
	}
	return w.t.active(name)
}

// StoppedByPerson reports whether the unit is down because a person was seen to stop it, which is remembered of watched
// units also when systemd has forgotten them. Unlike Unit.Stopped it is false for what never ran.
func (w *Watcher) StoppedByPerson(name string) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if u := w.t.unit(name); u != nil {
		return w.t.byPerson(u)
	}
	return w.t.left[name] && down(w.t.active(name))
}

// Queued reports whether any unit, watched or not, has a job that did not end yet.
func (w *Watcher) Queued(name string) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.t.queued(name)
}

// SystemState is systemd's word for the whole: initializing, starting, running, degraded, maintenance,
// stopping; "" while disconnected.
func (w *Watcher) SystemState() string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.conn == nil {
		return ""
	}
	return w.t.system
}

// ControlGroup is the top of the tree in which this systemd keeps its units: "" or "/" for that of the
// host.
func (w *Watcher) ControlGroup() string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.t.group
}

// Connected reports whether what is known is current.
func (w *Watcher) Connected() bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.conn != nil
}

// Read asks systemd for a unit now, watched or not. Of one that is not watched nobody knows who
// stopped it; that counts as at first sight.
func (w *Watcher) Read(ctx context.Context, name string) (Unit, error) {
	w.mu.RLock()
	c := w.conn
	w.mu.RUnlock()
	if c == nil {
		return Unit{}, ErrDisconnected
	}
	u, err := c.read(ctx, name)
	if err != nil && errors.Is(err, dbus.ErrClosed) {
		return Unit{}, ErrDisconnected
	}
	u.Stopped = firstSight(u)
	if known, ok := w.Unit(u.Name); ok && known.Active == u.Active {
		u.Stopped = known.Stopped
	}
	return u, err
}

// Current is a unit with dependencies that are certainly those of this moment. Nobody tells a unit that
// another one was loaded which depends on it; so memory serves only if nothing was loaded since.
func (w *Watcher) Current(ctx context.Context, name string) (Unit, error) {
	w.mu.RLock()
	u := w.t.unit(name)
	fresh := u != nil && w.conn != nil && u.arrivals == w.t.arrivals && !w.t.reloading
	var known Unit
	if fresh {
		known = *u
	}
	w.mu.RUnlock()
	if fresh {
		return known, nil
	}
	return w.Read(ctx, name)
}

// Conn is the connection for calls; ErrDisconnected when there is none. It is of use to package act
// only: a test forbids everybody else its methods that change something.
func (w *Watcher) Conn() (*Calls, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.conn == nil {
		return nil, ErrDisconnected
	}
	return w.conn.Conn, nil
}

// read asks for all properties of one unit, which costs systemd a good millisecond.
func (c *conn) read(ctx context.Context, name string) (Unit, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	props, err := c.GetAllPropertiesContext(ctx, name)
	if refusal := (dbus.Error{}); errors.As(err, &refusal) {
		// systemd answered, and knows no such unit: its name is not valid, or is a template's.
		return Unit{Name: name, Load: "error", Active: "inactive", Sub: "dead"}, nil
	}
	if err != nil {
		return Unit{}, fmt.Errorf("read unit %s: %w", name, err)
	}
	u := Unit{Name: name}
	offset := bootOffset()
	for key, v := range props {
		if move := changed[key]; move != nil {
			move(&u, v, offset)
		}
		if move := fixed[key]; move != nil {
			move(&u, v)
		}
	}
	return u, nil
}
