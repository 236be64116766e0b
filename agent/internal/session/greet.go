package session

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// greet says hello and enters the session of the welcome. What must be on disk is, before it is used; but a
// disk that takes nothing keeps no alert from the controller: then the session permits nothing.
func (s *Session) greet(c *conn) (*logpb.Welcome, error) {
	s.o.Step("hello")
	s.mu.Lock()
	r := s.book.Hello(newNonce())
	s.mu.Unlock()
	s.save(r)
	if err := c.send(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Hello{Hello: s.hello(r)}}); err != nil {
		return nil, err
	}
	limit := time.NewTimer(permit.LostAfter)
	defer limit.Stop()
	select {
	case m := <-c.in:
		if err := farewell(m); err != nil {
			return nil, err
		}
		if m.GetWelcome() == nil {
			return nil, fmt.Errorf("%w: %T comes before the welcome", errStrange, m.GetWhat())
		}
		return m.GetWelcome(), s.enter(m.GetWelcome())
	case <-limit.C:
		return nil, errMute
	case <-c.ctx.Done():
		return nil, c.err()
	}
}

// mostLabels is how many labels a node takes.
const mostLabels = 64

func newNonce() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// hello is the first message. What runs is looked up as it goes out: what begins after that is not in it.
func (s *Session) hello(r permit.Record) *logpb.Hello {
	h := &logpb.Hello{
		Host: s.o.Host, Name: s.o.Name, Fingerprint: s.o.Fingerprint, BootId: s.o.Clock.BootID(), LastEpoch: r.Epoch,
		Nonce: r.Nonce, Stream: s.o.Outbox.Stream(), LastEvent: s.o.Outbox.Last(), Generation: r.Generation,
		Index: r.Index, Version: s.o.Version,
	}
	if !s.met { // what this process has added is known to nobody, and must not hide what an earlier one lost
		h.LastEvent = s.o.Outbox.Opened()
	}
	for i, name := range slices.Sorted(maps.Keys(s.o.Labels)) {
		if i == mostLabels {
			break
		}
		h.Labels = append(h.Labels, &logpb.Label{Name: name, Value: s.o.Labels[name]})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h.Services, s.told = s.reports, s.reports // what changes from here on is told as soon as there is a session
	h.Running = s.book.Send(s.now())
	return h
}

// enter begins the session of a welcome.
func (s *Session) enter(w *logpb.Welcome) error {
	s.mu.Lock()
	r, err := s.book.Accept(s.now(), w)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.o.Step("welcome")
	s.save(r)
	s.mu.Lock()
	cleared := s.book.Enter(r, w)
	s.mu.Unlock()
	s.cleared(cleared...)
	return s.goOn(w)
}

// goOn goes on in the event stream of a welcome, after its mark.
func (s *Session) goOn(w *logpb.Welcome) error {
	was := s.o.Outbox.Stream()
	if w.GetStream() != was && w.GetStream() != "" {
		s.log.Warn("the journal went back in time, or the controller thinks so; events go on in another stream",
			"from", was, "to", w.GetStream())
		numbers, err := s.o.Outbox.Move(w.GetStream())
		if err != nil {
			return err
		}
		s.o.Moved(was, numbers)
	}
	if w.GetMark() > s.o.Outbox.Last() {
		return fmt.Errorf("%w: it has %d events of this host, which has %d", errStrange, w.GetMark(), s.o.Outbox.Last())
	}
	s.o.Outbox.Ack(w.GetStream(), w.GetMark())
	s.met = true
	return nil
}

// save journals a record. Until that has worked no permit counts.
func (s *Session) save(r permit.Record) {
	err := s.o.Store.Put(keyRecord, r)
	s.mu.Lock()
	s.recorded = err == nil
	s.mu.Unlock()
	if err != nil {
		s.log.Error("the session cannot be journaled, so that it permits nothing", "error", err)
	}
}
