package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// Witness hears from systemd itself when something is done to a unit: each job that systemd runs for a unit is
// somebody acting on it. It asks no part of Salve.
type Witness struct {
	limits  Limits
	placeOf func(unit string) (Place, bool)
	conn    *dbus.Conn
	ended   chan struct{}

	mu      sync.Mutex
	running map[uint32]Place // by number of the job
	begun   map[Place]int
	most    int // hosts of one service at once
	wrong   []string
}

const (
	systemdName = "org.freedesktop.systemd1"
	systemdPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	manager     = systemdName + ".Manager"
)

// Watch begins to watch the manager behind the private socket at address, "unix:path=…". placeOf says which
// units are of interest.
func Watch(address string, l Limits, placeOf func(unit string) (Place, bool)) (*Witness, error) {
	// The sequential handler keeps signals in order and never drops one.
	conn, err := dbus.Dial(address, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, err
	}
	w := &Witness{limits: l, placeOf: placeOf, conn: conn, ended: make(chan struct{}),
		running: map[uint32]Place{}, begun: map[Place]int{}}
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	if err := w.subscribe(); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("watch systemd: %w", err)
	}
	go func() {
		defer close(w.ended)
		for s := range signals { // ends with the connection
			w.hear(s)
		}
	}()
	return w, nil
}

// subscribe asks for signals. A busy systemd overlooks a first message that comes right behind the greeting, until
// there is another one: so it is asked again.
func (w *Witness) subscribe() error {
	if err := w.conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
		return err
	}
	for range 10 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		called := w.conn.Object(systemdName, systemdPath).CallWithContext(ctx, manager+".Subscribe", 0)
		cancel()
		if !errors.Is(called.Err, context.DeadlineExceeded) {
			return called.Err
		}
	}
	return errors.New("no answer")
}

// Close ends the watch. What was seen can still be asked for.
func (w *Witness) Close() error {
	err := w.conn.Close()
	<-w.ended
	return err
}

// hear takes one signal: a job began or ended.
func (w *Witness) hear(s *dbus.Signal) {
	switch s.Name {
	case manager + ".JobNew":
		var id uint32
		var path dbus.ObjectPath
		var unit string
		if dbus.Store(s.Body, &id, &path, &unit) == nil {
			w.begin(id, unit)
		}
	case manager + ".JobRemoved":
		var id uint32
		if len(s.Body) > 0 && dbus.Store(s.Body[:1], &id) == nil {
			w.mu.Lock()
			delete(w.running, id)
			w.mu.Unlock()
		}
	}
}

// begin counts a job, and holds what runs now against the limits.
func (w *Witness) begin(id uint32, unit string) {
	p, ok := w.placeOf(unit)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[id] = p
	w.begun[p]++
	var of, all []string
	for _, other := range w.running {
		if other.Service == p.Service && !slices.Contains(of, other.Host) {
			of = append(of, other.Host)
		}
		if !slices.Contains(all, other.Host) {
			all = append(all, other.Host)
		}
	}
	w.most = max(w.most, len(of))
	if len(of) > w.limits.Cap {
		w.wrong = append(w.wrong, fmt.Sprintf("systemd acts on %d hosts of %s at once, and %d may be: %s",
			len(of), p.Service, w.limits.Cap, strings.Join(of, ", ")))
	}
	if len(all) > w.limits.Fleet {
		w.wrong = append(w.wrong, fmt.Sprintf("systemd acts on %d hosts at once, and %d may be: %s",
			len(all), w.limits.Fleet, strings.Join(all, ", ")))
	}
}

// Jobs asks systemd what it is doing at this moment: where, by number of the job.
func (w *Witness) Jobs(ctx context.Context) (map[uint32]Place, error) {
	var jobs []struct {
		ID    uint32
		Unit  string
		Type  string
		State string
		Path  dbus.ObjectPath
		Of    dbus.ObjectPath
	}
	err := w.conn.Object(systemdName, systemdPath).CallWithContext(ctx, manager+".ListJobs", 0).Store(&jobs)
	if err != nil {
		return nil, fmt.Errorf("ask systemd for its jobs: %w", err)
	}
	out := map[uint32]Place{}
	for _, j := range jobs {
		if p, ok := w.placeOf(j.Unit); ok {
			out[j.ID] = p
		}
	}
	return out, nil
}

// Running are the places where a job runs, in order.
func (w *Witness) Running() []Place {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.SortedFunc(maps.Values(w.running), func(a, b Place) int {
		return strings.Compare(a.String(), b.String())
	})
}

// Begun is how many jobs there were, by place.
func (w *Witness) Begun() map[Place]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.begun)
}

// Most is on how many hosts of one service something was done at once.
func (w *Witness) Most() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

// Total is how many jobs there were.
func (w *Witness) Total() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, m := range w.begun {
		n += m
	}
	return n
}

// Wrong is what must not have happened.
func (w *Witness) Wrong() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.wrong)
}
