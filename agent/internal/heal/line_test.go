package heal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/session"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// controlled makes a configuration one of a host with a controller.
func controlled(conf string) string {
	return "controller {\n  addresses = [\"127.0.0.1:7600\"]\n}\n" + conf
}

// outbox is the journal's, for a process: what waits or is queued dies with it.
type outbox struct{ *memory }

var _ session.Outbox = outbox{}

func (o outbox) Stream() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stream
}

// all are the events that this process knows of. The caller holds mu.
func (o outbox) all() []*logpb.Event { return slices.Concat(o.told, o.queuedEvents, o.waiting) }

func (o outbox) next() uint64 { return uint64(len(o.all())) + 1 }

func (o outbox) Last() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.next() - 1
}

func (o outbox) Opened() uint64 { return o.opened }

func (o outbox) Unacknowledged() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.next() - 1 - o.acked
}

func (o outbox) Wake() <-chan struct{} { return o.wake }

func (o outbox) Add(ev *logpb.Event) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	ev.N = o.next()
	o.waiting = append(o.waiting, proto.CloneOf(ev))
	return ev.GetN()
}

func (o outbox) AddAlert(with func(incident.AlertKey) *logpb.Alert) incident.AlertKey {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := incident.AlertKey{Host: "h", Stream: o.stream, N: o.next()}
	a := with(k)
	a.Key = &logpb.AlertKey{Host: k.Host, Stream: k.Stream, N: k.N}
	o.waiting = append(o.waiting, &logpb.Event{N: k.N, What: &logpb.Event_Fired{Fired: proto.CloneOf(a)}})
	return k
}

func (o outbox) Commit() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queuedEvents, o.waiting = append(o.queuedEvents, o.waiting...), nil
	o.poke()
	return nil
}

func (m *memory) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (o outbox) Read(_ context.Context, after uint64, most int) ([]*logpb.Event, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.p.dead.Load() {
		return nil, journal.ErrClosed
	}
	o.flush()
	list := o.told
	if o.full {
		list = o.all()
	}
	list = list[min(int(after), len(list)):]
	return slices.Clone(list[:min(most, len(list))]), nil
}

func (o outbox) Ack(stream string, n uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if stream == o.stream {
		o.acked = max(o.acked, n)
	}
}

// Move goes on in another stream with what is not acknowledged. The events of the old one are kept for the test.
func (o outbox) Move(stream string) (map[uint64]uint64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.p.dead.Load() {
		return nil, journal.ErrClosed
	}
	numbers, was := map[uint64]uint64{}, o.stream
	var events []*logpb.Event
	for _, ev := range o.all()[min(int(o.acked), len(o.all())):] {
		ev, old := proto.CloneOf(ev), ev.GetN()
		ev.N = uint64(len(events)) + 1
		if a := ev.GetFired(); a != nil {
			numbers[old] = ev.GetN()
			a.Key.Stream, a.Key.N = stream, ev.GetN()
		}
		if k := ev.GetResolved().GetKey(); k.GetStream() == was {
			if n, ok := numbers[k.GetN()]; ok {
				k.Stream, k.N = stream, n
			}
		}
		events = append(events, ev)
	}
	o.stream, o.acked, o.told, o.queuedEvents, o.waiting = stream, 0, nil, events, nil
	o.flush()
	o.poke()
	return numbers, nil
}

// space is the session's part of the journal.
type space struct{ *memory }

func (s space) Put(key string, v any) error {
	s.p.point("before session " + key)
	defer s.p.point("after session " + key)
	return s.durable(func() { s.kept[key] = encode(v) })
}

func (s space) PutSoon(key string, v any) error {
	return s.durable(func() { s.kept[key] = encode(v) })
}

func (s space) DeleteSoon(key string) error { return s.durable(func() { delete(s.kept, key) }) }

func (s space) Get(key string, v any) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, ok := s.kept[key]
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(raw, v)
}

func (s space) Each(f func(key string, decode func(v any) error) error) error {
	s.mu.Lock()
	keys := make([]string, 0, len(s.kept))
	for key := range s.kept {
		keys = append(keys, key)
	}
	s.mu.Unlock()
	slices.Sort(keys)
	for _, key := range keys {
		if err := f(key, func(v any) error { _, err := s.Get(key, v); return err }); err != nil {
			return err
		}
	}
	return nil
}

// line is a line of a process that may be dead: then it says nothing any more.
type line struct {
	session.Line
	p *process
}

func (l line) Send(m *agentpb.ConnectRequest) error {
	if l.p.dead.Load() {
		return errKilled
	}
	return l.Line.Send(m)
}

// newLine makes the process's line to the node.
func (p *process) newLine() (*session.Session, *Controller) {
	if p.rig.cfg.Controller == nil {
		return nil, nil
	}
	var past []*incident.Attempt
	for _, a := range p.rig.disk.attempts() {
		if a.Permit != nil {
			past = append(past, a)
		}
	}
	s, err := session.New(session.Options{
		Host: "h", Name: "h", Fingerprint: "print", Addresses: p.rig.cfg.Controller.Addresses, Clock: p.clock, Log: p.log,
		Store: space{p.disk}, Outbox: outbox{p.disk}, Past: session.Restore(past), Jitter: func() float64 { return 0.5 },
		Dial: func(ctx context.Context, address string) (session.Line, error) {
			if p.dead.Load() {
				return nil, errKilled
			}
			l, err := p.node.Dial(ctx, address)
			return line{l, p}, err
		},
		Orders:  func(ctx context.Context, o session.Orders) error { return p.Follow(ctx, o) },
		Moved:   func(from string, numbers map[uint64]uint64) { p.Moved(from, numbers) },
		Changed: func(live bool) { p.LineChanged(live) },
		Step:    func(step string) { p.point("session " + step) },
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return s, &Controller{Permits: s, Events: outbox{p.disk}, Orders: s.Orders()}
}

// witnessPermit is the witness of what max-unavailable needs of an agent: whoever acts on what still serves is
// counted at that moment, by a permit of its own; and a permit acts once.
func (h *hands) witnessPermit(plan act.Plan, a *incident.Attempt, shared string) {
	if h.p.node == nil || !plan.Disruptive && shared == "" {
		return
	}
	switch {
	case shared != "" && (a.Permit == nil || a.Permit.Alone || !slices.Contains(a.Permit.Targets, permit.Target{Resource: shared})):
		h.flaw("attempt %s acts on %s, which hosts share, without a permit for it", a.ID, shared)
		return
	case a.Permit == nil:
		h.flaw("attempt %s takes away what serves, without a permit", a.ID)
		return
	case a.Permit.Alone:
		if h.p.node.Live("h") {
			h.flaw("attempt %s acts alone in the middle of a session", a.ID)
		}
	case !h.p.node.Counts(a.Permit.Token) && !h.p.forced:
		h.flaw("attempt %s acts under permit %s, which nobody counts", a.ID, a.Permit.Token)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if by, used := h.used[a.Permit.Token]; used {
		h.flaws = append(h.flaws, fmt.Sprintf("permit %s was used by %s and is used by %s", a.Permit.Token, by, a.ID))
	}
	h.used[a.Permit.Token] = a.ID
}

// connected waits until the line is up.
func (h *rig) connected() {
	h.t.Helper()
	h.Until("connected", 3*time.Minute, func() bool { return h.node.Live("h") })
	synctest.Wait()
}

// wantLine compares what the node has seen since the last call, hellos and edges left out.
func (h *rig) wantLine(want ...string) {
	h.t.Helper()
	synctest.Wait()
	var got []string
	for l := range strings.Lines(h.node.Log()) {
		if l = strings.TrimSpace(l); !strings.HasPrefix(l, "hello ") && !strings.HasPrefix(l, "edge ") {
			got = append(got, l)
		}
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("at %v, the node has seen\n%s\nwant\n%s\n%s", h.clock.Now().Boot-boot, strings.Join(got, "\n"),
			strings.Join(want, "\n"), h.Story())
	}
}

// token of the node's n-th grant.
func token(n uint64) permit.Token { return permit.Token{Generation: "g1", N: n} }

// told are the events that the node has: "fired down", "resolved", "hand over", "page log", "act: text".
func (h *rig) toldController(kinds ...string) []string {
	synctest.Wait()
	var out []string
	for _, ev := range h.node.Events("h") {
		text := ""
		switch what := ev.GetWhat().(type) {
		case *logpb.Event_Fired:
			text = "fired " + what.Fired.GetRule()
		case *logpb.Event_Resolved:
			text = fmt.Sprintf("resolved %d", what.Resolved.GetKey().GetN())
			if what.Resolved.GetVerified() {
				text += " verified"
			}
		case *logpb.Event_HandOver:
			text = "hand over: " + what.HandOver.GetReason()
		case *logpb.Event_Page:
			text = "page " + strings.Join(what.Page.GetNotifiers(), ", ")
		case *logpb.Event_Story:
			text = what.Story.GetEvent().GetType() + ": " + what.Story.GetEvent().GetText()
		}
		if len(kinds) == 0 || slices.ContainsFunc(kinds, func(k string) bool { return strings.HasPrefix(text, k) }) {
			out = append(out, text)
		}
	}
	return out
}

func (h *rig) wantTold(kinds []string, want ...string) {
	h.t.Helper()
	if got := h.toldController(kinds...); !slices.Equal(got, want) {
		h.t.Errorf("the controller was told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
