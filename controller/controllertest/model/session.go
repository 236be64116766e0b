package model

import (
	"maps"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Times of a session.
const (
	pingEvery = 2 * time.Second
	sendAgain = 5 * time.Second
	batch     = 16
)

// Receive takes a message of the node.
func (a *Agent) Receive(r *agentpb.ConnectResponse) Verdict {
	switch what := r.GetWhat().(type) {
	case *agentpb.ConnectResponse_Welcome:
		return a.welcome(what.Welcome)
	case *agentpb.ConnectResponse_Pong:
		return a.pong(what.Pong)
	case *agentpb.ConnectResponse_Mark:
		if what.Mark.GetStream() == a.d().Stream {
			a.line.marked = max(a.line.marked, what.Mark.GetN())
		}
	case *agentpb.ConnectResponse_Answer:
		return a.answer(what.Answer)
	case *agentpb.ConnectResponse_Standing:
		return a.standing(what.Standing)
	case *agentpb.ConnectResponse_Redirect, *agentpb.ConnectResponse_NoQuorum, *agentpb.ConnectResponse_Busy:
		return Leave
	case *agentpb.ConnectResponse_TurnedAway:
		switch what.TurnedAway.GetCode() {
		case "quarantined", "removed":
			return Banned
		}
		return Anew
	}
	return Stay
}

func (a *Agent) welcome(w *logpb.Welcome) Verdict {
	r, err := a.book.Accept(a.m.Boottime(), w)
	if err != nil {
		return Leave
	}
	a.d().write(r)
	a.m.Forgot, a.met = false, true
	if w.GetStream() != a.d().Stream {
		a.d().begin(a.m.ID, w.GetStream())
	}
	for _, t := range a.book.Enter(r, w) {
		a.d().cleared(t)
	}
	a.line.told, a.line.marked = w.GetMark(), w.GetMark()
	return Stay
}

func (a *Agent) pong(p *agentpb.Pong) Verdict {
	a.line.heard = p.GetSerial()
	if n := p.GetN(); n > 0 && n <= uint64(len(a.line.pings)) && !p.GetUrge() {
		a.book.RoundTrip(a.m.Boottime(), a.line.pings[n-1])
	}
	if p.GetUrge() && a.Live() {
		a.ping()
	}
	return Stay
}

func (a *Agent) ping() {
	a.line.lastPing = a.m.Boottime()
	a.line.pings = append(a.line.pings, a.m.Boottime())
	a.say(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Ping{Ping: &agentpb.Ping{
		N: uint64(len(a.line.pings)), Heard: a.line.heard}}})
}

func (a *Agent) answer(x *agentpb.Answer) Verdict {
	anew := false
	switch what := x.GetWhat().(type) {
	case *agentpb.Answer_Grant:
		if id := a.book.Granted(x.GetN(), what.Grant); id != "" {
			for _, t := range a.attempts {
				if t.id == id {
					t.stage = granted
				}
			}
		}
	case *agentpb.Answer_Refusal:
		if x.GetToken() == nil {
			var id string
			id, anew = a.book.Refused(x.GetN(), what.Refusal)
			a.refused(id, what.Refusal.GetCode())
			break
		}
		anew = a.settled(permit.TokenOf(x.GetToken()), what.Refusal)
	case *agentpb.Answer_Settled:
		anew = a.settled(permit.TokenOf(x.GetToken()), nil)
	}
	if anew {
		return Anew
	}
	return Stay
}

func (a *Agent) settled(t permit.Token, r *logpb.Refusal) (anew bool) {
	cleared, anew := a.book.Settled(a.m.Boottime(), t, r)
	if cleared {
		a.d().cleared(t)
	}
	return anew
}

// standing journals what binds this host, and then says so.
func (a *Agent) standing(s *agentpb.Standing) Verdict {
	fresh, anew := a.book.Order(s.GetGeneration(), s.GetIndex(), s.GetRevoked())
	if anew {
		return Anew
	}
	if fresh {
		a.d().Standing, a.heard = s, true
		a.d().write(a.book.Record())
		a.confirm()
	}
	return Stay
}

func (a *Agent) confirm() {
	s := a.d().Standing
	if epoch, live := a.book.Live(); live {
		a.say(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Confirm{Confirm: &logpb.ConfirmStanding{
			Host: a.m.ID, Epoch: epoch, Generation: s.GetGeneration(), Index: s.GetIndex()}}})
	}
}

// Tick does what is due. It reports whether the session must begin anew.
func (a *Agent) Tick() Verdict {
	a.m.Advance()
	for _, t := range slices.Clone(a.attempts) {
		if t.revived {
			a.revive(t)
		} else {
			a.forward(t)
		}
		if a.Frozen() {
			return Stay
		}
	}
	a.attempts = slices.DeleteFunc(a.attempts, func(t *attempt) bool { return t.stage == done })
	a.clear()
	if !a.Live() || !a.Connected() {
		return Stay
	}
	if a.book.Stuck(a.m.Boottime()) {
		return Anew
	}
	a.speak()
	return Stay
}

// speak sends what there is to say.
func (a *Agent) speak() {
	now := a.m.Boottime()
	if a.line.lastPing == 0 || now-a.line.lastPing >= pingEvery {
		a.ping()
	}
	a.changes()
	if r := a.book.Next(now, a.claims()); r != nil {
		a.say(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Request{Request: r}})
	}
	for _, s := range a.book.Settles(now, a.claims()) {
		a.say(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Settle{Settle: s}})
	}
	if a.line.told > a.line.marked && now-a.line.toldAt >= sendAgain {
		a.line.told = a.line.marked
	}
	if n := uint64(len(a.d().Events)); a.line.told < n {
		epoch, _ := a.book.Live()
		to := min(n, a.line.told+batch)
		a.say(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Events{Events: &logpb.Events{
			Host: a.m.ID, Epoch: epoch, Stream: a.d().Stream, Event: slices.Clone(a.d().Events[a.line.told:to])}}})
		a.line.told, a.line.toldAt = to, now
	}
}

// changes says what the host serves that was not said in this session.
func (a *Agent) changes() {
	epoch, _ := a.book.Live()
	var edges []*logpb.Edge
	for _, s := range a.m.Services() {
		if is := a.m.Serving(s); a.line.reported[s] != is {
			a.line.reported[s] = is
			edges = append(edges, &logpb.Edge{Host: a.m.ID, Epoch: epoch, Service: s, Serving: is})
		}
	}
	if len(edges) > 0 {
		a.say(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Edges{Edges: &logpb.Edges{Edge: edges}}})
	}
}

// revive settles by evidence what an earlier process left. What could still be in flight is not known before
// this process has looked for a while.
func (a *Agent) revive(t *attempt) {
	if a.m.Boottime()-a.started < permit.ClearAfter || a.m.Active(t.id) {
		return
	}
	left, ran := a.m.Left(t.id)
	switch {
	case t.held.BootID != a.m.BootID:
		a.finish(t, permit.Unknown, "the machine was booted meanwhile")
	case !ran:
		a.finish(t, permit.Unused, "it had not begun")
	case left == Well:
		a.finish(t, permit.Serving, "it serves")
	case left == Sick:
		a.finish(t, permit.Unknown, "it cannot be told what it did")
	default:
		a.finish(t, permit.Failed, "it is over")
	}
}

// clear says that nothing of a doubted attempt runs, once that is seen and the host serves.
func (a *Agent) clear() {
	for _, d := range a.book.Doubts() {
		serves := !slices.ContainsFunc(d.Targets, func(t permit.Target) bool {
			return t.Host == a.m.ID && a.m.Serving(t.Service) != logpb.Serving_SERVING_YES
		})
		if serves && a.m.Idle(d.Targets) {
			a.book.Clear(d.Token, a.m.Boottime())
		}
	}
}

// Fire journals that a rule fires for a service of the host.
func (a *Agent) Fire(rule, service, local string) {
	a.d().fire(a.m.ID, Alert{Rule: rule, Service: service, Local: local})
}

// Calm journals that what fires of a service is over.
func (a *Agent) Calm(service string) {
	for i := range a.d().Alerts {
		if x := &a.d().Alerts[i]; x.Service == service && !x.Over {
			a.d().calm(i, false)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
