package state

import (
	"strconv"

	"github.com/salveops/salve/proto/logpb"
)

// events takes over what a host's journal holds after the mark. They come at least once and are entered
// exactly once: numbers up to the mark are known, and a number is never skipped.
func (s *State) events(c *logpb.Events) *logpb.Result {
	h := s.hosts[c.GetHost()]
	if r := s.author(h, c); r != nil {
		return r
	}
	known := h.GetMark()
	for _, e := range c.GetEvent() {
		switch {
		case e.GetN() == known+1:
			known++
		case e.GetN() > known || e.GetN() == 0: // nothing of it is taken, so that the mark says what is known
			return held("gap", []string{strconv.FormatUint(h.GetMark()+1, 10)},
				"event %d of %s does not follow on %d; send what comes after %d", e.GetN(), h.GetName(), known, h.GetMark())
		}
	}
	for _, e := range c.GetEvent() {
		if e.GetN() == h.GetMark()+1 {
			h.Mark = e.GetN()
			s.event(h, e)
		}
	}
	return done()
}

// author refuses events that are not the next ones of the session that counts. A host that is marked as
// lost may speak: what it says cannot be known too soon.
func (s *State) author(h *logpb.Host, c *logpb.Events) *logpb.Result {
	switch {
	case h == nil:
		return refuse("host", "this host has not said hello")
	case h.GetRemoved():
		return refuse("removed", "host %s was removed", h.GetName())
	case c.GetEpoch() != h.GetEpoch():
		return refuse("epoch", "the session of epoch %d is over; %s is in epoch %d", c.GetEpoch(), h.GetName(), h.GetEpoch())
	case h.GetQuarantined() != "":
		return refuse("quarantined", "%s", h.GetQuarantined())
	case h.GetAwaited():
		return refuse("awaited", "host %s has not said hello in this generation", h.GetName())
	case c.GetStream() != h.GetStream():
		return refuse("stream", "the journal of %s goes on in another event stream", h.GetName())
	}
	return nil
}

// event enters one event. A kind that this program does not know is passed over, so that a newer agent's
// stream does not stop.
func (s *State) event(h *logpb.Host, e *logpb.Event) {
	switch what := e.GetWhat().(type) {
	case *logpb.Event_Fired:
		s.fired(h, e.GetN(), what.Fired)
	case *logpb.Event_Resolved:
		s.resolved(h, what.Resolved)
	case *logpb.Event_Story:
		s.story(h, what.Story)
	case *logpb.Event_HandOver:
		s.handedOver(h, what.HandOver)
	case *logpb.Event_Page:
		s.paged(h, what.Page)
	case *logpb.Event_Change:
		s.noticed(h, what.Change)
	}
}
