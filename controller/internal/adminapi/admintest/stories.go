package admintest

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// World is a cluster in which something has happened.
type World struct {
	*Log
	Web1, Web2, Web3, DB1 *Host
	Evidence              Shelf
	// Open is the permit of the attempt that is still under way.
	Open *logpb.Grant
}

// steps runs what has to go well, one after the other.
type steps struct{ err error }

func (s *steps) do(f func() error) {
	if s.err == nil {
		s.err = f()
	}
}

// NewWorld makes the world: a fault of checkout on two hosts, healed one after the other; one of db that was
// handed to people; and one of checkout on a third host, with an attempt under way.
func NewWorld() (*World, error) {
	l := NewLog()
	w := &World{
		Log: l, Evidence: Shelf{},
		Web1: NewHost(l, 1, "web-1", "checkout"), Web2: NewHost(l, 2, "web-2", "checkout"),
		Web3: NewHost(l, 3, "web-3", "checkout"), DB1: NewHost(l, 0xd1, "db-1", "db"),
	}
	w.Web2.Ahead = 3 * time.Second
	var s steps
	s.do(w.begin)
	s.do(w.healed)
	s.do(w.escalated)
	s.do(w.underWay)
	return w, s.err
}

func (w *World) begin() error {
	var s steps
	for _, c := range []*logpb.Command{
		{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{
			Id: strings.Repeat("1", 32), Reason: "bootstrap", Bootstrap: true,
		}}},
		{What: &logpb.Command_Configure{Configure: &logpb.Configure{Config: Configure(), By: "c1"}}},
	} {
		s.do(func() error { _, err := Do(w.Log, c); return err })
	}
	for _, h := range []*Host{w.Web1, w.Web2, w.Web3, w.DB1} {
		s.do(func() error { return w.Advance(time.Second) })
		s.do(h.Hello)
	}
	for _, h := range []*Host{w.Web1, w.Web2, w.Web3, w.DB1} { // also that it is not the only one any more
		s.do(h.Confirm)
	}
	return s.err
}

// healed: both web hosts fail within a moment. The second has to wait for the first.
func (w *World) healed() error {
	const local1, local2 = "aaaa1111aaaa1111aaaa1111aaaa1111", "bbbb2222bbbb2222bbbb2222bbbb2222"
	s := steps{w.Advance(10 * time.Minute)}
	var grant *logpb.Grant
	pass := func(d time.Duration) { s.do(func() error { return w.Advance(d) }) }
	tell := func(h *Host, events ...func() *logpb.Event) {
		for _, e := range events {
			s.do(func() error { return h.Tell(e()) })
		}
	}
	fails := func(h *Host, local string) {
		tell(h, func() *logpb.Event {
			return h.Fired(local, "slow", "checkout", "checkout.service", "critical", "probe.health.p99 > 2 * second",
				"probe.health.p99 = 2.4 s")
		})
	}
	repair := func(h *Host, local string, fired uint64) {
		s.do(func() (err error) { grant, err = h.Ask(local, "checkout", "slow", "restart-app"); return err })
		tell(h, func() *logpb.Event {
			return h.Line(local, "intent", "restart-app begins: restart checkout.service", "attempt", h.Name+"-1",
				"disruptive", "true")
		})
		pass(40 * time.Millisecond)
		tell(h, func() *logpb.Event {
			return h.Line(local, "act", "restart-app on checkout.service took 38ms", "attempt", h.Name+"-1",
				"remedy", "restart-app", "kind", "restart", "target", "checkout.service", "by", "rule")
		})
		pass(5 * time.Second)
		tell(h, func() *logpb.Event {
			return h.Line(local, "verify", "restart-app: verified: probe.health.p99 is below 2 s for 5 s",
				"attempt", h.Name+"-1", "outcome", "verified")
		}, func() *logpb.Event { return h.Cleared(fired, true) })
		s.do(func() error { return h.Settle(grant, logpb.Settlement_SETTLEMENT_SERVING) })
	}
	fails(w.Web1, local1)
	pass(200 * time.Millisecond)
	fails(w.Web2, local2)
	pass(5 * time.Millisecond)
	tell(w.Web1, func() *logpb.Event {
		return w.Web1.Line(local1, "decide", "restart-app: nothing stands in its way", "verdict", "act", "rule", "slow",
			"candidates", "restart-app (confidence 80 %): nothing stands in its way\nreboot (confidence 50 %): not reached")
	})
	pass(5 * time.Millisecond)
	tell(w.Web2, func() *logpb.Event {
		return w.Web2.Line(local2, "decide",
			"restart-app waits: 1 of 3 hosts of checkout may be under repair at once, and 1 are",
			"verdict", "wait", "rule", "slow")
	})
	repair(w.Web1, local1, 1)
	pass(time.Second)
	repair(w.Web2, local2, 1)
	pass(10 * time.Second)
	return s.err
}

// escalated: nothing of db's remedies may run, so people are told.
func (w *World) escalated() error {
	const local = "cccc3333cccc3333cccc3333cccc3333"
	s := steps{w.Advance(10 * time.Minute)}
	evidence := w.Evidence.Put("journal of db.service, last 40 lines", "FATAL: the database system is shutting down\n")
	s.do(func() error {
		return w.DB1.Tell(
			w.DB1.Fired(local, "lag", "db", "db.service", "warning", "metric.lag > 30 * second", "metric.lag = 41 s"),
			w.DB1.Line(local, "decide", "no remedy is configured for lag", "verdict", "hand_over", "rule", "lag"),
			&logpb.Event{What: &logpb.Event_Story{Story: &logpb.Story{
				Local:    local,
				Event:    &logpb.TimelineEvent{HostAt: w.DB1.now(), Type: "diagnose", Text: "collected 1 piece of evidence"},
				Evidence: []*logpb.EvidenceRef{evidence},
			}}},
			&logpb.Event{What: &logpb.Event_HandOver{HandOver: &logpb.HandOver{
				Local: local, Reason: "no remedy is configured for lag",
			}}},
		)
	})
	s.do(func() error { return w.Advance(time.Second) })
	s.do(w.deliver)
	return s.err
}

// deliver sends every message that is due.
func (w *World) deliver() error {
	var due []*logpb.Delivery
	w.View(func(s *state.State) { due = s.DeliveriesDue() })
	for _, d := range due {
		for _, to := range []logpb.DeliveryState{
			logpb.DeliveryState_DELIVERY_STATE_CLAIMED, logpb.DeliveryState_DELIVERY_STATE_TOLD,
		} {
			if _, err := Do(w.Log, &logpb.Command{What: &logpb.Command_Delivered{Delivered: &logpb.Delivered{
				Key: d.GetKey(), Notifier: d.GetNotifier(), State: to, Node: "c1",
			}}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// underWay: the third web host is being repaired.
func (w *World) underWay() error {
	const local = "dddd4444dddd4444dddd4444dddd4444"
	s := steps{w.Advance(2 * time.Minute)}
	s.do(func() error {
		return w.Web3.Tell(w.Web3.Fired(local, "leak", "checkout", "checkout.service", "warning",
			"unit.memory_bytes > 200 * MiB", "unit.memory_bytes = 286 MiB"))
	})
	s.do(func() (err error) { w.Open, err = w.Web3.Ask(local, "checkout", "leak", "restart-app"); return err })
	s.do(func() error {
		return w.Web3.Tell(w.Web3.Line(local, "intent", "restart-app begins: restart checkout.service", "attempt", "web-3-1"))
	})
	return s.err
}

// Shelf is evidence by its digest.
type Shelf map[string]Piece

// Piece is one piece of evidence.
type Piece struct{ title, text string }

// Put adds a piece.
func (s Shelf) Put(title, text string) *logpb.EvidenceRef {
	digest := sha256.Sum256([]byte(text))
	s[string(digest[:])] = Piece{title, text}
	return &logpb.EvidenceRef{Digest: digest[:], Title: title, Size: uint32(len(text))}
}

// Open implements adminapi.Evidence.
func (s Shelf) Open(digest []byte) (string, io.ReadCloser, error) {
	p, ok := s[string(digest)]
	if !ok {
		return "", nil, fs.ErrNotExist
	}
	return p.title, io.NopCloser(strings.NewReader(p.text)), nil
}

// Stranger is another machine that says that it is web-1. It is turned away.
func (w *World) Stranger() error {
	twin := NewHost(w.Log, 1, "web-1", "checkout")
	twin.print = "print-of-a-stranger"
	if err := twin.Hello(); err == nil {
		return errors.New("another machine was let in")
	}
	return nil
}

// Outbreak lets one rule fire on all web hosts at once, so that its breaker opens.
func (w *World) Outbreak() error {
	s := steps{w.Advance(time.Minute)}
	for i, h := range []*Host{w.Web1, w.Web2, w.Web3} {
		local := strings.Repeat("f"+string(rune('1'+i)), 16)
		s.do(func() error {
			return h.Tell(h.Fired(local, "errors", "checkout", "checkout.service", "critical", "metric.error_rate > 20 %"))
		})
	}
	return s.err
}
