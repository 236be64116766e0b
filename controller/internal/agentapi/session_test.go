package agentapi

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// The whole of an attempt's way over the line.
func TestSession(t *testing.T) {
	r := onLoopback(t).lead()
	r.must(full())
	a := r.connect(helloOf("h1"))
	w := a.enter()
	if w.GetEpoch() == 0 || len(w.GetGeneration()) != 32 || w.GetStream() != "stream-h1" || w.GetMark() != 0 {
		t.Errorf("welcome %v", w)
	}
	a.sayPing()
	if p := a.said().GetPong(); p.GetN() != 1 || p.GetSerial() != 1 || p.GetUrge() {
		t.Errorf("pong %v", p)
	}

	a.say(request(a, 1))
	answer := a.said().GetAnswer()
	token := answer.GetGrant().GetToken()
	if answer.GetN() != 1 || token.GetN() == 0 || token.GetGeneration() != w.GetGeneration() {
		t.Fatalf("answer %v", answer)
	}
	a.say(request(a, 1)) // the same request
	if again := a.said().GetAnswer(); !proto.Equal(again, answer) {
		t.Errorf("answer %v, then %v", answer, again)
	}
	a.say(request(a, 2))
	if refused := a.said().GetAnswer(); refused.GetN() != 2 || refused.GetRefusal().GetCode() != "target" {
		t.Errorf("answer %v", refused)
	}

	back := r.connect(helloOf("h1")) // its answer was lost: the same nonce
	if w := back.enter(); w.GetEpoch() != a.epoch || len(w.GetPermits()) != 1 || !proto.Equal(w.GetPermits()[0].GetToken(), token) {
		t.Errorf("welcome %v", w)
	}
	if got := a.last(); got != "turned away superseded, end" {
		t.Errorf("the older session: %s", got)
	}
	back.say(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Settle{Settle: &logpb.Settle{
		Host: "h1", SessionEpoch: back.epoch, Token: token, Epoch: back.epoch, Settlement: logpb.Settlement_SETTLEMENT_SERVING,
	}}})
	if settled := back.said().GetAnswer(); settled.GetSettled() == nil || !proto.Equal(settled.GetToken(), token) {
		t.Errorf("answer %v", settled)
	}
	r.journal.View(func(s *state.State) {
		for _, x := range s.Audit(0, 100) {
			if what := x.GetWhat(); (what == "grant" || what == "settle") && x.GetAddress() != "127.0.0.1" {
				t.Errorf("the audit does not say from where: %v", x)
			}
		}
		if len(s.Permits()) != 0 {
			t.Errorf("open permits %v", s.Permits())
		}
	})
}

// Events are acknowledged by the mark of the state, however large the message is.
func TestEvents(t *testing.T) {
	r := onLoopback(t).lead()
	a := r.joined("h1")
	events := &logpb.Events{Host: "h1", Epoch: a.epoch, Stream: "stream-h1"}
	for n := range uint64(150) {
		events.Event = append(events.Event, &logpb.Event{N: n + 1, What: &logpb.Event_Story{Story: &logpb.Story{
			Local: "l", Event: &logpb.TimelineEvent{Type: "decide", Text: long(4 << 10)},
		}}})
	}
	if size := proto.Size(events); size < 600<<10 {
		t.Fatalf("the message has only %d bytes", size)
	}
	before := len(r.journal.All())
	a.say(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Events{Events: events}})
	if m := a.said().GetMark(); m.GetStream() != "stream-h1" || m.GetN() != 150 {
		t.Errorf("mark %v", m)
	}
	if n := len(r.journal.All()) - before; n < 5 {
		t.Errorf("600 KiB of events became %d entries", n)
	}
	a.say(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Events{Events: events}}) // again: no harm
	if m := a.said().GetMark(); m.GetN() != 150 {
		t.Errorf("mark %v", m)
	}
}

func TestEdgesAndConfirm(t *testing.T) {
	r := onLoopback(t).lead()
	a := r.joined("h1")
	a.say(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Edges{Edges: &logpb.Edges{Edge: []*logpb.Edge{
		{Host: "h1", Epoch: a.epoch, Service: "checkout", Serving: logpb.Serving_SERVING_DOWN},
	}}}})
	var generation string
	r.journal.View(func(s *state.State) { generation = s.Generation() })
	a.say(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Confirm{Confirm: &logpb.ConfirmStanding{
		Host: "h1", Epoch: a.epoch, Generation: generation, Index: a.standing,
	}}})
	a.sayPing() // answered after both
	for a.said().GetPong() == nil {
	}
	r.journal.View(func(s *state.State) {
		h := s.Host("h1")
		if h.GetServices()[0].GetServing() != logpb.Serving_SERVING_DOWN || h.GetConfirmed() != a.standing {
			t.Errorf("host %v, told %d", h, a.standing)
		}
	})
}

// A session speaks for its own host and epoch, within bounds, and never with the leader's word.
func TestForeignMessages(t *testing.T) {
	r := onLoopback(t).lead()
	r.joined("h2")
	for name, make := range map[string]func(a *agent) *agentpb.ConnectRequest{
		"a second hello": func(a *agent) *agentpb.ConnectRequest {
			return &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Hello{Hello: a.hello}}
		},
		"nothing": func(*agent) *agentpb.ConnectRequest { return &agentpb.ConnectRequest{} },
		"another host's request": func(a *agent) *agentpb.ConnectRequest {
			m := request(a, 1)
			m.GetRequest().Host = "h2"
			return m
		},
		"another epoch's request": func(a *agent) *agentpb.ConnectRequest {
			m := request(a, 1)
			m.GetRequest().Epoch--
			return m
		},
		"a request without end": func(a *agent) *agentpb.ConnectRequest {
			m := request(a, 1)
			m.GetRequest().Remedy = long(maxName + 1)
			return m
		},
		"an edge of the leader": func(a *agent) *agentpb.ConnectRequest {
			return edge(&logpb.Edge{Host: "h1", Lost: true})
		},
		"an edge about a host": func(a *agent) *agentpb.ConnectRequest {
			return edge(&logpb.Edge{Host: "h1", Epoch: a.epoch})
		},
		"a lost edge": func(a *agent) *agentpb.ConnectRequest {
			return edge(&logpb.Edge{Host: "h1", Epoch: a.epoch, Service: "checkout", Lost: true})
		},
		"another host's edge": func(a *agent) *agentpb.ConnectRequest {
			return edge(&logpb.Edge{Host: "h2", Epoch: a.epoch, Service: "checkout"})
		},
		"another host's settlement": func(a *agent) *agentpb.ConnectRequest {
			return &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Settle{Settle: &logpb.Settle{Host: "h2", SessionEpoch: a.epoch}}}
		},
		"another session's settlement": func(a *agent) *agentpb.ConnectRequest {
			return &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Settle{Settle: &logpb.Settle{Host: "h1", SessionEpoch: a.epoch + 1}}}
		},
		"another host's confirmation": func(a *agent) *agentpb.ConnectRequest {
			return &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Confirm{Confirm: &logpb.ConfirmStanding{Host: "h2", Epoch: a.epoch}}}
		},
		"another host's bundles": func(a *agent) *agentpb.ConnectRequest {
			return &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Bundles{Bundles: &logpb.ReportBundles{Host: "h2", Epoch: a.epoch}}}
		},
		"another host's events": func(a *agent) *agentpb.ConnectRequest {
			return &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Events{Events: &logpb.Events{Host: "h2", Epoch: a.epoch}}}
		},
		"another host's alert": func(a *agent) *agentpb.ConnectRequest {
			return &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Events{Events: &logpb.Events{Host: "h1", Epoch: a.epoch,
				Event: []*logpb.Event{{N: 1, What: &logpb.Event_Resolved{Resolved: &logpb.AlertEnd{Key: &logpb.AlertKey{Host: "h2"}}}}}}}}
		},
		"an event that no entry takes": func(a *agent) *agentpb.ConnectRequest {
			return &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Events{Events: &logpb.Events{Host: "h1", Epoch: a.epoch, Stream: "stream-h1",
				Event: []*logpb.Event{{N: 1, What: &logpb.Event_HandOver{HandOver: &logpb.HandOver{Reason: long(300 << 10)}}}}}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := helloOf("h1")
			h.Nonce = name
			r.journal.View(func(s *state.State) { h.LastEpoch = s.Host("h1").GetEpoch() })
			a := r.connect(h)
			a.enter()
			before := len(r.journal.All())
			a.say(make(a))
			if got := a.last(); got != "InvalidArgument" {
				t.Errorf("the session ended with %q", got)
			}
			if n := len(r.journal.All()); n != before {
				t.Errorf("it came into the log: %v", r.journal.All()[n-1])
			}
		})
	}
}

func edge(e *logpb.Edge) *agentpb.ConnectRequest {
	return &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Edges{Edges: &logpb.Edges{Edge: []*logpb.Edge{e}}}}
}

// What an agent says in the leader's fields of a hello does not count.
func TestLeadersFieldsOfHello(t *testing.T) {
	r := onLoopback(t).lead()
	r.joined("h1").close()
	h := helloOf("h1")
	h.Nonce, h.BootId, h.Twin, h.NewGeneration, h.NewStream = "other", "another boot", true, "mine", "mine"
	h.LastEpoch, h.Index = 1, 1<<40
	a := r.connect(h)
	if w := a.next().GetWelcome(); w == nil || w.GetGeneration() == "mine" {
		t.Errorf("welcome %v", w)
	}
}

func TestHelloOutOfBounds(t *testing.T) {
	r := onLoopback(t).lead()
	for name, change := range map[string]func(h *logpb.Hello){
		"no host":       func(h *logpb.Hello) { h.Host = "" },
		"no nonce":      func(h *logpb.Hello) { h.Nonce = "" },
		"long name":     func(h *logpb.Hello) { h.Name = long(maxName + 1) },
		"many services": func(h *logpb.Hello) { h.Services = make([]*logpb.ServiceReport, maxServices+1) },
		"nameless":      func(h *logpb.Hello) { h.Services[0].Service = "" },
		"many labels":   func(h *logpb.Hello) { h.Labels = make([]*logpb.Label, maxLabels+1) },
		"before":        func(h *logpb.Hello) { h.Services[0].Detection = -1 },
	} {
		h := helloOf("h1")
		change(h)
		a := r.connect(h)
		if got := a.last(); got != "InvalidArgument" {
			t.Errorf("%s: ended with %q", name, got)
		}
	}
}

// A node that does not lead says who does, or that nobody is known to; sessions move when leadership does.
func TestLeadershipMoves(t *testing.T) {
	r := onLoopback(t)
	r.follow("127.0.0.1:7600", 0)
	if got := r.connect(helloOf("h1")).last(); got != "redirect 127.0.0.1:7600, end" {
		t.Errorf("a follower: %s", got)
	}
	r.follow("", 3*time.Second)
	if got := r.connect(helloOf("h1")).last(); got != "no quorum 3s, end" {
		t.Errorf("a minority: %s", got)
	}
	r.lead()
	a, b := r.joined("h1"), r.joined("h2")
	r.follow("127.0.0.1:7602", 0)
	for _, x := range []*agent{a, b} {
		if got := x.last(); got != "redirect 127.0.0.1:7602, end" {
			t.Errorf("a session of old: %s", got)
		}
	}
	r.lead()
	h := helloOf("h1")
	h.Nonce, h.LastEpoch = "second", a.epoch
	back := r.connect(h)
	if w := back.enter(); w.GetEpoch() <= a.epoch {
		t.Errorf("epoch %d after %d", w.GetEpoch(), a.epoch)
	}
}

// An agent that comes to a node in the moment of its election waits, and does not have to come again.
func TestJustElected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inMemory(t)
		r.seat.Quietly()
		a := r.connect(helloOf("h1"))
		synctest.Wait()
		if a.drain() != 0 {
			t.Error("it was answered before the node took its office")
		}
		r.seat.Say(true)
		a.enter()
		r.stop()
	})
}

// A command whose outcome is lost with the leadership ends the session: the next hello tells.
func TestLeadershipLostWhileAsked(t *testing.T) {
	r := onLoopback(t).lead()
	a := r.joined("h1")
	r.seat.Hold(true)
	a.say(request(a, 1))
	<-r.seat.Waiting() // Raft has it
	r.follow("127.0.0.1:7602", 0)
	if got := a.last(); got != "redirect 127.0.0.1:7602, end" {
		t.Errorf("ended with %s", got)
	}
}

// A round trip is what the agent has heard of us, from when we said it; what only arrives is none.
func TestRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inMemory(t).lead()
		a := r.joined("h1")
		begun := time.Now()
		last := func() time.Duration {
			connected, ago, ok := r.server.Heard("h1")
			if !connected || !ok {
				t.Fatal("there is no session")
			}
			return time.Since(begun) - ago
		}
		if got := last(); got != 0 {
			t.Errorf("the welcome counts from %v", got)
		}
		a.mute(true)
		for range 4 { // pings arrive, and the agent hears nothing
			time.Sleep(2 * time.Second)
			a.sayPing()
			a.next()
		}
		if got := last(); got != 0 {
			t.Errorf("a link that carries one way only: the last round trip began at %v", got)
		}
		a.mute(false)
		time.Sleep(time.Second)
		a.sayPing() // at 9 s; it has heard the pong of 8 s
		a.next()
		if got := last(); got != 8*time.Second {
			t.Errorf("the last round trip began at %v", got)
		}
		if _, _, ok := r.server.Heard("h2"); ok {
			t.Error("a host that nobody knows was heard")
		}
		r.stop()
	})
}

// A link that is half open is noticed within ten seconds, and so is an agent that does not say hello.
func TestSilentSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inMemory(t).lead()
		a := r.joined("h1")
		begun := time.Now()
		a.last()
		if took := time.Since(begun); took < silentAfter || took > silentAfter+2*watchEvery {
			t.Errorf("noticed after %v", took)
		}
		st, err := agentpb.NewLineClient(r.client).Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		begun = time.Now()
		if _, err := st.Recv(); err == nil || time.Since(begun) > helloTime+time.Second {
			t.Errorf("without a hello: %v after %v", err, time.Since(begun))
		}
		if n := len(r.server.sessions.all()); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
		r.stop()
	})
}

// Standing orders are pushed at once to whom they bind, and not again while they say the same.
func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inMemory(t).lead()
		a, b := r.joined("h1"), r.joined("h2")
		for _, x := range []*agent{a, b} { // what the second host changed for the first
			synctest.Wait()
			time.Sleep(time.Second)
			x.drain()
		}
		begun := time.Now()
		r.must(pauseOf("host:h1"))
		s := a.next().GetStanding()
		if len(s.GetPauses()) != 1 || s.GetPauses()[0].GetReason() != "maintenance" || time.Since(begun) > time.Second {
			t.Errorf("standing orders %v after %v", s, time.Since(begun))
		}
		time.Sleep(time.Second)
		if m := b.drain(); m != 0 {
			t.Errorf("the other host was told %d things", m)
		}
		r.must(pauseOf("all"))
		if s := b.next().GetStanding(); len(s.GetPauses()) != 1 {
			t.Errorf("standing orders %v", s)
		}
		if s := a.next().GetStanding(); len(s.GetPauses()) != 2 {
			t.Errorf("standing orders %v", s)
		}
		r.must(&logpb.Command{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{Id: fmt.Sprintf("%032d", 7), Reason: "test"}}})
		for _, x := range []*agent{a, b} {
			if got := x.last(); got != "turned away generation, end" {
				t.Errorf("a new generation: %s", got)
			}
		}
		r.stop()
	})
}

// A host that is removed is sent away.
func TestRemovedHost(t *testing.T) {
	r := onLoopback(t).lead()
	a := r.joined("h1")
	r.must(&logpb.Command{What: &logpb.Command_RemoveHost{RemoveHost: &logpb.RemoveHost{Host: "h1", By: "kim", Gone: true, Reason: "sold"}}})
	if got := a.last(); got != "turned away removed, end" {
		t.Errorf("the session: %s", got)
	}
	if got := r.connect(helloOf("h1")).last(); got != "turned away removed, end" {
		t.Errorf("a new hello: %s", got)
	}
}

// clone: two machines with one identity. The older one lives and says so, and both are out until a person decides.
func TestClone(t *testing.T) {
	r := onLoopback(t).lead()
	a := r.joined("h1")
	h := helloOf("h1")
	h.BootId, h.Nonce, h.LastEpoch = "another boot", "another nonce", a.epoch
	if got := r.connect(h).last(); got != "turned away quarantined, end" {
		t.Errorf("the clone: %s", got)
	}
	if got := a.last(); got != "turned away quarantined, end" {
		t.Errorf("the older one: %s", got)
	}
	r.journal.View(func(s *state.State) {
		if s.Host("h1").GetQuarantined() == "" {
			t.Error("the host is not quarantined")
		}
	})
}

// A machine that was started anew is no clone: its older session is silent, whatever is still in the network.
func TestRebootIsNoClone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inMemory(t).lead()
		a := r.joined("h1")
		a.mu.Lock()
		a.frozen = true
		a.mu.Unlock()
		h := helloOf("h1")
		h.BootId, h.Nonce, h.LastEpoch = "another boot", "another nonce", a.epoch
		begun := time.Now()
		b := r.connect(h)
		time.Sleep(time.Second)
		a.mu.Lock()
		a.ping, a.serial = 1, 0
		a.mu.Unlock()
		a.say(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Ping{Ping: &agentpb.Ping{N: 1}}}) // sent before it died
		if w := b.enter(); w.GetEpoch() <= a.epoch {
			t.Errorf("welcome %v", w)
		}
		if took := time.Since(begun); took < twinTime || took > twinTime+time.Second {
			t.Errorf("the welcome came after %v", took)
		}
		a.last()
		r.stop()
	})
}
