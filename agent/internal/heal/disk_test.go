package heal

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

var errNoSpace = errors.New("no space left on device")

// disk is what a journal keeps when its process is killed: attempts and pauses at once, incidents with
// the next of them or when somebody reads. All of it went through JSON.
type disk struct {
	mu       sync.Mutex
	incident map[string][]byte
	attempt  map[string][]byte
	pause    map[string][]byte
	order    []string // incident IDs as they were first seen
	event    uint64
	full     bool
	clock    clock.Clock
	phases   map[string][]incident.Phase // every phase that an attempt was written with

	stream string // of events for the controller
	told   []*logpb.Event
	acked  uint64
	kept   map[string][]byte // of the session
}

func newDisk(c clock.Clock) *disk {
	return &disk{incident: map[string][]byte{}, attempt: map[string][]byte{}, pause: map[string][]byte{},
		phases: map[string][]incident.Phase{}, clock: c, stream: "out", kept: map[string][]byte{}}
}

// memory is the journal of one process: what it queued dies with it.
type memory struct {
	*disk
	p      *process
	queued []incident.Incident

	waiting, queuedEvents []*logpb.Event // for the controller
	wake                  chan struct{}
	opened                uint64 // events on disk when the process began
}

var _ Journal = (*memory)(nil)

func (m *memory) Host() string   { return "h" }
func (m *memory) Stream() string { return "s" }

func (m *memory) NextEvent() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.event++
	return m.event
}

func (m *memory) PutIncident(i *incident.Incident) error {
	raw := encode(i)
	m.p.point("before incident")
	defer m.p.point("after incident")
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.p.dead.Load() {
		return journal.ErrClosed
	}
	var c incident.Incident
	decode(raw, &c)
	m.queued = append(m.queued, c)
	if len(m.waiting) > 0 {
		m.queuedEvents, m.waiting = append(m.queuedEvents, m.waiting...), nil
		m.poke()
	}
	return nil
}

// flush writes what is queued. The caller holds mu.
func (m *memory) flush() {
	if m.full {
		return // the queue waits
	}
	for i := range m.queued {
		id := m.queued[i].ID
		if m.incident[id] == nil {
			m.order = append(m.order, id)
		}
		m.incident[id] = encode(m.queued[i])
	}
	m.told = append(m.told, m.queuedEvents...)
	m.queued, m.queuedEvents = nil, nil
}

func (m *memory) PutAttempt(a *incident.Attempt) error {
	what := "attempt " + string(a.Phase)
	m.p.point("before " + what)
	defer m.p.point("after " + what)
	return m.durable(func() {
		if last, err := lookup[incident.Attempt](m.attempt, a.ID); err == nil {
			a.Keep(last)
		}
		m.attempt[a.ID] = encode(a)
		m.phases[a.ID] = append(m.phases[a.ID], a.Phase)
	})
}

func (m *memory) durable(write func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.p.dead.Load():
		return journal.ErrClosed
	case m.full:
		return fmt.Errorf("write journal: %w", errNoSpace)
	}
	m.flush()
	write()
	return nil
}

func (m *memory) PutPause(p *incident.Pause) error {
	m.p.point("before pause")
	return m.durable(func() { m.pause[p.ID] = encode(p) })
}

func (m *memory) DeletePause(id string) error { return m.durable(func() { delete(m.pause, id) }) }

func (m *memory) Healthy() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full {
		return errNoSpace
	}
	return nil
}

func (m *memory) BudgetUnknown() bool { return false }

func (m *memory) Incident(id string) (*incident.Incident, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flush()
	return lookup[incident.Incident](m.incident, id)
}

func (m *memory) Incidents(f journal.Filter) ([]*incident.Incident, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flush()
	return m.incidents(f), nil
}

// incidents are the newest first. The caller holds mu.
func (d *disk) incidents(f journal.Filter) []*incident.Incident {
	var out []*incident.Incident
	for _, id := range slices.Backward(d.order) {
		i, _ := lookup[incident.Incident](d.incident, id)
		if f.Open && i.State == incident.Resolved || f.Service != "" && i.Service != f.Service {
			continue
		}
		if out = append(out, i); f.Limit > 0 && len(out) == f.Limit {
			break
		}
	}
	return out
}

func (m *memory) Attempt(id string) (*incident.Attempt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return lookup[incident.Attempt](m.attempt, id)
}

func (m *memory) AttemptsWithin(age time.Duration) ([]*incident.Attempt, error) {
	now := clock.Now(m.clock)
	return slices.DeleteFunc(m.attempts(), func(a *incident.Attempt) bool { return a.Intended.Age(now) > age }), nil
}

// attempts are all of them, oldest first.
func (d *disk) attempts() []*incident.Attempt {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := every[incident.Attempt](d.attempt)
	slices.SortFunc(out, func(a, b *incident.Attempt) int {
		return cmp.Or(cmp.Compare(a.Intended.Boot, b.Intended.Boot), strings.Compare(a.ID, b.ID))
	})
	return out
}

func (m *memory) Pauses() ([]*incident.Pause, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return every[incident.Pause](m.pause), nil
}

func encode(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func decode(raw []byte, v any) {
	if err := json.Unmarshal(raw, v); err != nil {
		panic(err)
	}
}

func lookup[T any](in map[string][]byte, id string) (*T, error) {
	raw, ok := in[id]
	if !ok {
		return nil, fmt.Errorf("%q: %w", id, journal.ErrNotFound)
	}
	v := new(T)
	decode(raw, v)
	return v, nil
}

func every[T any](in map[string][]byte) []*T {
	out := make([]*T, 0, len(in))
	for _, raw := range in {
		v := new(T)
		decode(raw, v)
		out = append(out, v)
	}
	return out
}
