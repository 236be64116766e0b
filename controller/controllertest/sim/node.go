package sim

import (
	"time"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// command is what a message asks of the log, nil: nothing.
func command(r *agentpb.ConnectRequest) *logpb.Command {
	switch what := r.GetWhat().(type) {
	case *agentpb.ConnectRequest_Hello:
		return &logpb.Command{What: &logpb.Command_Hello{Hello: what.Hello}}
	case *agentpb.ConnectRequest_Events:
		return &logpb.Command{What: &logpb.Command_Events{Events: what.Events}}
	case *agentpb.ConnectRequest_Edges:
		return &logpb.Command{What: &logpb.Command_Edges{Edges: what.Edges}}
	case *agentpb.ConnectRequest_Confirm:
		return &logpb.Command{What: &logpb.Command_ConfirmStanding{ConfirmStanding: what.Confirm}}
	case *agentpb.ConnectRequest_Request:
		return &logpb.Command{What: &logpb.Command_Request{Request: what.Request}}
	case *agentpb.ConnectRequest_Settle:
		return &logpb.Command{What: &logpb.Command_Settle{Settle: what.Settle}}
	}
	return nil
}

// receive is what a node that thinks it leads does with a message. seen is told once the agent has the answer,
// or where there is none, once it is in the log.
func (n *node) receive(w *World, s *session, r *agentpb.ConnectRequest, seen func(*logpb.Result)) {
	if h := r.GetHello(); h != nil {
		n.hello(w, s, h, seen)
		return
	}
	if s.epoch == 0 {
		return // it speaks before it has said hello
	}
	if p := r.GetPing(); p != nil {
		n.pong(w, s, p)
		return
	}
	w.propose(n, func(rs []*logpb.Result) {
		switch {
		case r.GetEvents() != nil:
			s.marked(w, r.GetEvents(), rs[0])
		case r.GetRequest() != nil:
			s.answer(w, r.GetRequest().GetN(), nil, rs[0], seen)
		case r.GetSettle() != nil:
			s.answer(w, r.GetSettle().GetToken().GetN(), r.GetSettle().GetToken(), rs[0], seen)
		default:
			seen(rs[0])
		}
	}, command(r))
}

// hello begins a session, and ends the older ones of the host.
func (n *node) hello(w *World, s *session, h *logpb.Hello, seen func(*logpb.Result)) {
	for _, o := range n.sessions {
		alive := o != s && o.epoch > 0 && o.h.a == o.agent && o.agent != nil && o.h.s == o && !o.h.frozen
		if alive && o.h.m.ID == h.GetHost() && o.boot != h.GetBootId() {
			h.Twin = true
		}
	}
	h.NewStream, h.NewGeneration = w.generation(), w.generation()
	w.propose(n, func(rs []*logpb.Result) {
		r := rs[0]
		if x := r.GetRefusal(); x != nil {
			s.say(w, &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_TurnedAway{TurnedAway: &agentpb.TurnedAway{
				Code: x.GetCode(), Text: x.GetText()}}}, func() { seen(r) })
			s.hangUp(w)
			return
		}
		for _, o := range n.sessions {
			if o != s && o.h.m.ID == h.GetHost() {
				o.hangUp(w)
			}
		}
		s.epoch = r.GetWelcome().GetEpoch()
		n.heard[h.GetHost()] = w.now
		s.say(w, &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Welcome{Welcome: r.GetWelcome()}},
			func() { seen(r) })
	}, &logpb.Command{What: &logpb.Command_Hello{Hello: h}})
}

// pong answers a ping. A round trip counts from when the pong was sent that the agent has heard.
func (n *node) pong(w *World, s *session, p *agentpb.Ping) {
	if k := p.GetHeard(); k > 0 && k <= uint64(len(s.pongs)) {
		n.heard[s.h.m.ID] = max(n.heard[s.h.m.ID], s.pongs[k-1])
	}
	s.pongs = append(s.pongs, w.now)
	s.say(w, &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Pong{Pong: &agentpb.Pong{
		N: p.GetN(), Serial: uint64(len(s.pongs))}}})
}

func (s *session) marked(w *World, e *logpb.Events, r *logpb.Result) {
	if s.over(w, r) || r.GetRefusal() != nil {
		return
	}
	last := e.GetEvent()[len(e.GetEvent())-1].GetN()
	s.say(w, &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Mark{Mark: &agentpb.Mark{Stream: e.GetStream(),
		N: last}}})
}

// over turns a session away that counts no more.
func (s *session) over(w *World, r *logpb.Result) bool {
	switch code := r.GetRefusal().GetCode(); code {
	case "epoch", "awaited", "quarantined", "removed", "host", "stream":
		s.say(w, &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_TurnedAway{
			TurnedAway: &agentpb.TurnedAway{Code: code}}})
		return true
	}
	return false
}

func (s *session) answer(w *World, n uint64, t *logpb.Token, r *logpb.Result, seen func(*logpb.Result)) {
	x := &agentpb.Answer{N: n, Token: t}
	switch {
	case r.GetRefusal() != nil:
		x.What = &agentpb.Answer_Refusal{Refusal: r.GetRefusal()}
	case t != nil:
		x.What = &agentpb.Answer_Settled{Settled: &agentpb.Settled{}}
	default:
		x.What = &agentpb.Answer_Grant{Grant: r.GetGrant()}
	}
	s.say(w, &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Answer{Answer: x}}, func() { seen(r) })
}

// push sends standing orders to the hosts whose orders have changed.
func (w *World) push() {
	n := w.raft.leader
	if n == nil {
		return
	}
	for _, s := range n.sessions {
		id := s.h.m.ID
		if v := w.state().StandingVersion(id); s.epoch > 0 && v != s.pushed && w.state().Host(id).GetEpoch() == s.epoch {
			s.pushed = v
			s.say(w, &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Standing{Standing: w.state().StandingOrders(id)}})
		}
	}
}

// duties are what a leader does by itself.
func (w *World) duties() {
	n := w.raft.leader
	if n == nil {
		return
	}
	w.losses(n)
	w.courier(n)
	if due := w.state().Due(); due != 0 && time.Duration(due) <= w.clock() {
		w.propose(n, nil, &logpb.Command{What: &logpb.Command_Tick{Tick: &logpb.Tick{}}})
	}
}

// losses says who is lost, and who is heard again. Many at once are not: then it is the leader that is.
func (w *World) losses(n *node) {
	var lost, back []*logpb.Edge
	present := 0
	for _, h := range w.state().Hosts() {
		if h.GetRemoved() {
			continue
		}
		silent := w.now - max(n.heard[h.GetId()], n.since)
		switch {
		case h.GetLost() && n.heard[h.GetId()] > 0 && silent < permit.LostAfter:
			back = append(back, &logpb.Edge{Host: h.GetId()})
		case h.GetLost():
			continue
		case silent >= permit.LostAfter:
			lost = append(lost, &logpb.Edge{Host: h.GetId(), Lost: true})
		}
		present++
	}
	if 2*len(lost) > present && present > 2 {
		lost = nil
	}
	if edges := append(lost, back...); len(edges) > 0 {
		c := &logpb.Command{What: &logpb.Command_Edges{Edges: &logpb.Edges{Edge: edges}}}
		seen := w.called(c)
		w.propose(n, func(rs []*logpb.Result) { seen(rs[0]) }, c)
	}
}

// courier claims what is to be sent, sends it, and says what became of it.
func (w *World) courier(n *node) {
	for _, m := range w.state().DeliveriesDue() {
		say := func(state logpb.DeliveryState, then func([]*logpb.Result)) {
			w.propose(n, then, &logpb.Command{What: &logpb.Command_Delivered{Delivered: &logpb.Delivered{
				Key: m.GetKey(), Notifier: m.GetNotifier(), State: state, Node: n.name}}})
		}
		say(logpb.DeliveryState_DELIVERY_STATE_CLAIMED, func(rs []*logpb.Result) {
			if rs[0].GetRefusal() != nil || w.chance(10) && !w.calm {
				return // held, or the node dies with it
			}
			state := logpb.DeliveryState_DELIVERY_STATE_TOLD
			if w.chance(10) && !w.calm {
				state = logpb.DeliveryState_DELIVERY_STATE_FAILED
			}
			say(state, nil)
		})
	}
}
