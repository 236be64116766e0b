package linetest

import (
	"bytes"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// hello begins a session, as the real state machine does.
func (s *Server) hello(st *stream, c *logpb.Hello) {
	s.hellos++
	switch {
	case c.GetHost() == "" || c.GetNonce() == "" || c.GetFingerprint() == "" || c.GetBootId() == "" || c.GetStream() == "":
		s.flaw("a hello without host, nonce, fingerprint, boot or stream: %v", c)
	case s.last != nil:
		st.end(proto.CloneOf(s.last))
		return
	}
	s.index++
	h := s.hosts[c.GetHost()]
	if c.GetGeneration() == s.generation && (c.GetIndex() >= s.index || c.GetLastEpoch() > h.epochOf()) {
		s.renew(s.generation + "+")
		h = s.hosts[c.GetHost()]
	}
	if h == nil {
		h = &host{id: c.GetHost(), fingerprint: c.GetFingerprint(), stream: c.GetStream()}
		s.hosts[h.id] = h
	}
	if h.fingerprint != c.GetFingerprint() {
		st.end(turnedAway("quarantined", "another machine says that it is this host"))
		return
	}
	if again := h.nonce == c.GetNonce(); !again { // else it is the same hello, with the same answer
		s.replay(h, c, c.GetLastEpoch() < h.epoch)
		s.epochs = max(s.epochs, c.GetLastEpoch()) + 1
		h.epoch, h.nonce, h.lastN, h.lastToken = s.epochs, c.GetNonce(), 0, permit.Token{}
	}
	h.boot, h.awaited, h.serving = c.GetBootId(), false, map[string]logpb.Serving{}
	for _, r := range c.GetServices() {
		h.serving[r.GetService()] = r.GetServing()
	}
	for _, r := range c.GetRunning() {
		s.running(h, r)
	}
	s.say("hello epoch %d", h.epoch)
	if s.mute {
		return
	}
	if h.session != nil && h.session != st {
		h.session.end(turnedAway("superseded", "a newer session has begun"))
	}
	h.session, st.host, st.epoch = st, h, h.epoch
	st.send(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Welcome{Welcome: s.welcome(h)}})
	s.push(h)
}

func (h *host) epochOf() uint64 {
	if h == nil {
		return 0
	}
	return h.epoch
}

func (s *Server) welcome(h *host) *logpb.Welcome {
	w := &logpb.Welcome{Epoch: h.epoch, Generation: s.generation, Stream: h.stream, Mark: h.mark}
	for _, p := range s.permits {
		if p.GetHost() == h.id {
			w.Permits = append(w.Permits, proto.CloneOf(p))
		}
	}
	return w
}

// replay notices a journal that went back in time, or is another one.
func (s *Server) replay(h *host, c *logpb.Hello, back bool) {
	switch {
	case back || c.GetStream() == h.stream && c.GetLastEvent() < h.mark:
		s.ids++
		h.stream, h.mark = fmt.Sprintf("stream-%d", s.ids), 0
		s.say("the journal went back")
	case c.GetStream() != h.stream:
		h.stream, h.mark = c.GetStream(), 0
		s.say("another journal")
	default:
		return
	}
	for _, p := range s.permits {
		if p.GetHost() == h.id {
			p.Unknown = true
		}
	}
}

func (s *Server) running(h *host, r *logpb.Running) {
	t := permit.TokenOf(r.GetToken())
	if len(r.GetTargets()) == 0 {
		s.flaw("%s runs, and takes nothing away", t)
	}
	p := s.permits[t]
	if p == nil {
		if t.Generation == s.generation && t.N <= s.tokens {
			return
		}
		p = &logpb.Permit{Token: r.GetToken(), Host: h.id, Epoch: r.GetEpoch(), Targets: r.GetTargets(), Remedy: r.GetRemedy()}
		s.permits[t] = p
		s.say("running %s", t)
	}
	if r.GetUnknown() {
		p.Unknown = true
	}
}

// message deals with what comes after the hello.
func (s *Server) message(st *stream, m *agentpb.ConnectRequest) {
	h := st.host
	switch what := m.GetWhat().(type) {
	case *agentpb.ConnectRequest_Hello:
		s.flaw("a second hello in a session")
	case *agentpb.ConnectRequest_Ping:
		s.ping(st, what.Ping)
	case *agentpb.ConnectRequest_Events:
		s.events(st, what.Events)
	case *agentpb.ConnectRequest_Edges:
		for _, e := range what.Edges.GetEdge() {
			if e.GetHost() != h.id || e.GetEpoch() != st.epoch || e.GetService() == "" || e.GetLost() {
				s.flaw("an edge that is not this session's: %v", e)
				continue
			}
			h.serving[e.GetService()] = e.GetServing()
			s.say("edge %s %s", e.GetService(), word(e.GetServing().String()))
		}
	case *agentpb.ConnectRequest_Request:
		s.request(st, what.Request)
	case *agentpb.ConnectRequest_Settle:
		s.settle(st, what.Settle)
	case *agentpb.ConnectRequest_Confirm:
		c := what.Confirm
		if c.GetHost() != h.id || c.GetEpoch() != st.epoch || !st.pushed[c.GetIndex()] || c.GetGeneration() != s.generation {
			s.flaw("orders are confirmed that were not given: %v", c)
		}
		h.confirmed = max(h.confirmed, c.GetIndex())
	case *agentpb.ConnectRequest_Bundles:
		s.report(st, what.Bundles)
	default:
		s.flaw("a message that says nothing")
	}
}

func word(name string) string {
	return strings.ToLower(name[strings.LastIndex(name, "_")+1:])
}

func (s *Server) ping(st *stream, p *agentpb.Ping) {
	if p.GetN() != st.ping+1 || p.GetHeard() > st.serial || p.GetHeard() < st.heard {
		s.flaw("ping %v after ping %d, pong %d, of which %d was heard", p, st.ping, st.serial, st.heard)
	}
	st.ping, st.heard = p.GetN(), p.GetHeard()
	if s.deaf {
		return
	}
	st.serial++
	st.send(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Pong{
		Pong: &agentpb.Pong{N: p.GetN(), Serial: st.serial},
	}})
}

func (s *Server) events(st *stream, c *logpb.Events) {
	h := st.host
	if c.GetHost() != h.id || c.GetEpoch() != st.epoch || c.GetStream() != h.stream {
		s.flaw("events that are not this session's: %s %d %s, want %s %d %s", c.GetHost(), c.GetEpoch(), c.GetStream(), h.id,
			st.epoch, h.stream)
		return
	}
	for _, e := range c.GetEvent() {
		if e.GetN() != h.mark+1 {
			s.flaw("event %d comes after event %d", e.GetN(), h.mark)
			return
		}
		h.mark = e.GetN()
		s.event(h, e)
	}
	s.index++
	st.send(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Mark{Mark: &agentpb.Mark{Stream: h.stream, N: h.mark}}})
}

func (s *Server) event(h *host, e *logpb.Event) {
	key := fmt.Sprintf("%s/%d", h.stream, e.GetN())
	raw, _ := proto.MarshalOptions{Deterministic: true}.Marshal(e)
	if old, ok := s.seen[key]; ok && !bytes.Equal(old, raw) && e.GetWhat() != nil {
		s.flaw("event %s is told again as something else: %v", key, e)
	}
	if e.GetWhat() != nil {
		s.seen[key] = raw
	}
	h.events = append(h.events, e)
	if k := e.GetFired().GetKey(); k != nil && (k.GetHost() != h.id || k.GetStream() != h.stream || k.GetN() != e.GetN()) {
		s.flaw("the alert of event %s has the key %v", key, k)
	}
	if a := e.GetFired(); a != nil {
		s.order(a.GetLocal())
		s.bind()
	}
	if local := e.GetHandOver().GetLocal(); local != "" && s.escalates && s.incidents[local] != nil {
		s.order(local).Escalated = true
		s.bind()
	}
}
