package linetest

import (
	"strings"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// request grants or refuses; what it does not judge, a test says with Refuse.
func (s *Server) request(st *stream, c *logpb.Request) {
	h := st.host
	s.index++
	if st.asked {
		s.flaw("request %d comes while another one is not answered", c.GetN())
	}
	g, r := s.judge(st, h, c)
	a := &agentpb.Answer{N: c.GetN()}
	if r != nil {
		a.What = &agentpb.Answer_Refusal{Refusal: r}
		s.say("refuse %s %s", c.GetRemedy(), r.GetCode())
	} else {
		a.What = &agentpb.Answer_Grant{Grant: g}
		whole := ""
		if c.GetWholeHost() {
			whole = " of the whole host"
		}
		s.say("grant %s %s%s", permit.TokenOf(g.GetToken()), c.GetRemedy(), whole)
	}
	answer := func() {
		if !s.line[st] {
			return // it was lost with the line
		}
		st.asked = false
		st.send(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Answer{Answer: a}})
	}
	if st.asked = true; s.hold {
		s.held = append(s.held, answer)
		return
	}
	answer()
}

func (s *Server) judge(st *stream, h *host, c *logpb.Request) (*logpb.Grant, *logpb.Refusal) {
	refusal := func(code, text string) (*logpb.Grant, *logpb.Refusal) {
		return nil, &logpb.Refusal{Code: code, Text: text, RetryAfter: 1e9}
	}
	switch {
	case c.GetHost() != h.id || c.GetEpoch() != st.epoch:
		s.flaw("a request for another session: %v", c)
		return refusal("epoch", "this is not the session that counts")
	case c.GetN() <= h.lastN:
		s.flaw("request number %d after %d", c.GetN(), h.lastN)
		return refusal("n", "the number was used before")
	case len(c.GetDigest()) == 0 || c.GetRemedy() == "" || c.GetIncident() == "":
		s.flaw("a request without digest, remedy or incident: %v", c)
	}
	for _, r := range c.GetClaims() {
		h.serving[r.GetService()] = r.GetServing()
	}
	if c.GetService() != "" && !targets(c, c.GetService(), h.id) {
		s.flaw("a request of %s that does not name it as a target: %v", c.GetService(), c.GetTargets())
	}
	for _, t := range c.GetTargets() {
		if _, known := h.serving[t.GetService()]; !known && t.GetResource() == "" {
			return refusal("target", "this host has not reported the service "+t.GetService())
		}
		if s.taken(t) {
			return refusal("target", t.GetService()+" is under repair")
		}
	}
	if s.refuse != nil {
		return nil, s.refuse
	}
	if h.awaited {
		return refusal("awaited", "this host has not said hello in this generation")
	}
	for _, p := range s.pauses {
		kind, name, _ := strings.Cut(p.GetScope(), ":")
		if kind == "all" || kind == "host" && name == h.id || kind == "service" && name == c.GetService() ||
			kind == "unit" && name == c.GetUnit() {
			return nil, &logpb.Refusal{Code: "paused", Text: p.GetScope() + " is paused by " + p.GetBy(), Holders: []string{p.GetId()}}
		}
	}
	s.tokens++
	token := permit.Token{Generation: s.generation, N: s.tokens}
	p := &logpb.Permit{Token: token.Proto(), Host: h.id, Epoch: c.GetEpoch(), N: c.GetN(), Remedy: c.GetRemedy(),
		Rule: c.GetRule(), Service: c.GetService(), Targets: c.GetTargets(), By: c.GetBy(), Unit: c.GetUnit()}
	for _, t := range c.GetTargets() {
		p.AsDown = p.GetAsDown() || h.serving[t.GetService()] == logpb.Serving_SERVING_DOWN
	}
	s.permits[token] = p
	h.lastN, h.lastToken = c.GetN(), token
	return &logpb.Grant{Token: token.Proto(), Epoch: c.GetEpoch(), AsDown: p.GetAsDown(), StartBy: c.GetStartBy(), RunFor: s.runFor}, nil
}

func targets(c *logpb.Request, service, host string) bool {
	for _, t := range c.GetTargets() {
		if t.GetService() == service && t.GetHost() == host {
			return true
		}
	}
	return false
}

// taken reports whether another permit has the target.
func (s *Server) taken(t *logpb.Target) bool {
	for _, p := range s.permits {
		for _, o := range p.GetTargets() {
			if o.GetService() == t.GetService() && o.GetHost() == t.GetHost() && o.GetResource() == t.GetResource() {
				return true
			}
		}
	}
	return false
}

// settle ends a permit on the word of its host.
func (s *Server) settle(st *stream, c *logpb.Settle) {
	s.index++
	t := permit.TokenOf(c.GetToken())
	a := &agentpb.Answer{N: t.N, Token: c.GetToken(), What: &agentpb.Answer_Settled{Settled: &agentpb.Settled{}}}
	if r := s.settled(st, c, t); r != nil {
		a.What = &agentpb.Answer_Refusal{Refusal: r}
	}
	st.send(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Answer{Answer: a}})
}

func (s *Server) settled(st *stream, c *logpb.Settle, t permit.Token) *logpb.Refusal {
	h, p, how := st.host, s.permits[t], word(c.GetSettlement().String())
	switch {
	case c.GetHost() != h.id || c.GetSessionEpoch() != st.epoch:
		s.flaw("a settlement for another session: %v", c)
		return &logpb.Refusal{Code: "epoch", Text: "this is not the session that counts"}
	case p == nil:
		s.say("settle %s %s: not open", t, how)
		return &logpb.Refusal{Code: "settled", Text: "there is no open permit " + t.String()}
	case p.GetHost() != c.GetHost() || p.GetEpoch() != c.GetEpoch():
		s.flaw("permit %s is settled with another host or epoch: %v", t, c)
		return &logpb.Refusal{Code: "epoch", Text: "the permit belongs to another epoch"}
	}
	for _, r := range c.GetClaims() {
		h.serving[r.GetService()] = r.GetServing()
	}
	unknown, cleared := logpb.Settlement_SETTLEMENT_UNKNOWN, logpb.Settlement_SETTLEMENT_CLEARED
	switch {
	case p.GetUnknown() && c.GetSettlement() == unknown:
		return nil
	case p.GetUnknown() != (c.GetSettlement() == cleared):
		return &logpb.Refusal{Code: "settlement", Text: "the permit cannot be settled like that"}
	case c.GetSettlement() == unknown:
		p.Unknown = true
		s.say("settle %s unknown", t)
		return nil
	case c.GetSettlement() == cleared:
		for _, target := range p.GetTargets() {
			if target.GetHost() == h.id && h.serving[target.GetService()] != logpb.Serving_SERVING_YES {
				return &logpb.Refusal{Code: "serving", Text: "it does not serve yet", RetryAfter: 1e9}
			}
		}
	}
	delete(s.permits, t)
	s.say("settle %s %s", t, how)
	if p.GetRevoked() != "" {
		s.bind()
	}
	return nil
}

func turnedAway(code, text string) *agentpb.ConnectResponse {
	return &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_TurnedAway{TurnedAway: &agentpb.TurnedAway{Code: code, Text: text}}}
}
