package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// helloTime is how long a node may take to answer a hello.
const helloTime = 15 * time.Second

// errOver says that the session ended before an answer came.
var errOver = errors.New("the session is over")

// session is one stream with one node.
type session struct {
	a       *agent
	stream  grpc.BidiStreamingClient[agentpb.ConnectRequest, agentpb.ConnectResponse]
	address string
	epoch   uint64          // given by the welcome
	permits []*logpb.Permit // that the host held at the welcome
	answers chan *agentpb.Answer
	done    chan struct{} // closed when it is over

	mu    sync.Mutex  // of what follows, and of sending
	timer *time.Timer // of the next ping; nil: there is none any more
	ping  uint64      // the last one sent
	sent  time.Time   // when
	heard uint64      // serial of the last pong

	standing uint64 // index of the last standing orders; of the receiving goroutine alone
}

// run says hello and serves the session to its end.
func (s *session) run(ctx context.Context, cancel context.CancelFunc) verdict {
	patience := time.AfterFunc(helloTime, cancel)
	defer patience.Stop()
	if err := s.send(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Hello{Hello: s.a.hello()}}); err != nil {
		return verdict{}
	}
	first, err := s.stream.Recv()
	if err != nil {
		return verdict{}
	}
	w := first.GetWelcome()
	if w == nil {
		return s.elsewhere(first)
	}
	if err := s.a.enter(s, w); err != nil {
		s.fault("%v", err)
		return verdict{}
	}
	patience.Stop()
	defer close(s.done)
	defer s.a.leave()
	s.beat()
	defer s.still()
	for ctx.Err() == nil {
		m, err := s.stream.Recv()
		if err != nil {
			break
		}
		if v, over := s.take(m); over {
			return v
		}
	}
	return verdict{welcome: true}
}

// elsewhere reads an answer that sends the agent away.
func (s *session) elsewhere(m *agentpb.ConnectResponse) verdict {
	f := s.a.fleet
	switch what := m.GetWhat().(type) {
	case *agentpb.ConnectResponse_Redirect:
		f.redirects.Add(1)
		if what.Redirect.GetAddress() == s.address {
			s.fault("a redirect to itself")
			return verdict{}
		}
		return verdict{next: what.Redirect.GetAddress()}
	case *agentpb.ConnectResponse_NoQuorum:
		f.noQuorum.Add(1)
	case *agentpb.ConnectResponse_Busy:
		f.busy.Add(1)
		return verdict{wait: max(time.Duration(what.Busy.GetRetryAfter()), time.Millisecond)}
	case *agentpb.ConnectResponse_TurnedAway:
		s.fault("turned away: %s: %s", what.TurnedAway.GetCode(), what.TurnedAway.GetText())
	default:
		s.fault("the answer to a hello is %T", what)
	}
	return verdict{}
}

// take deals with one message of a welcome session; true: the session is over.
func (s *session) take(m *agentpb.ConnectResponse) (verdict, bool) {
	switch what := m.GetWhat().(type) {
	case *agentpb.ConnectResponse_Pong:
		s.pong(what.Pong)
	case *agentpb.ConnectResponse_Standing:
		s.confirm(what.Standing)
	case *agentpb.ConnectResponse_Answer:
		select {
		case s.answers <- what.Answer:
		default:
			s.fault("an answer that nobody waits for: %v", what.Answer)
		}
	case *agentpb.ConnectResponse_Redirect, *agentpb.ConnectResponse_NoQuorum, *agentpb.ConnectResponse_Busy,
		*agentpb.ConnectResponse_TurnedAway:
		v := s.elsewhere(m)
		v.welcome = true
		return v, true
	default:
		s.fault("a message that does not belong here: %T", what)
	}
	return verdict{}, false
}

// beat sends the first ping after a part of the interval, so that a fleet that came at once does not ping at
// once, and then one each interval.
func (s *session) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(rand.N(s.a.fleet.o.Ping), func() {
		s.sendPing()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.timer != nil {
			s.timer.Reset(s.a.fleet.o.Ping)
		}
	})
}

// still ends the pings. One that is under way meets a stream that is over, and has none after it.
func (s *session) still() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Stop()
	s.timer = nil
}

func (s *session) sendPing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ping++
	s.sent = time.Now()
	s.a.fleet.pings.Add(1)
	_ = s.stream.Send(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Ping{
		Ping: &agentpb.Ping{N: s.ping, Heard: s.heard},
	}}) // its failure is the end of the stream, which the receiver sees
}

// pong checks the node's half of a heartbeat.
func (s *session) pong(p *agentpb.Pong) {
	s.mu.Lock()
	ping, sent, before := s.ping, s.sent, s.heard
	s.heard = p.GetSerial()
	s.mu.Unlock()
	s.a.fleet.pongs.Add(1)
	switch {
	case p.GetSerial() != before+1:
		s.fault("pong %d after pong %d", p.GetSerial(), before)
	case p.GetN() > ping:
		s.fault("a pong for ping %d, and %d were sent", p.GetN(), ping)
	case p.GetUrge():
		s.a.fleet.urged.Add(1)
		s.sendPing()
	case p.GetN() == ping:
		s.a.fleet.sawRTT(time.Since(sent))
	}
}

// confirm says that standing orders are on the disk that a simulated agent does not have.
func (s *session) confirm(o *agentpb.Standing) {
	s.a.fleet.standings.Add(1)
	if o.GetIndex() < s.standing {
		s.fault("standing orders went back from %d to %d", s.standing, o.GetIndex())
	}
	s.standing = o.GetIndex()
	s.a.saw(o.GetIndex())
	_ = s.send(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Confirm{Confirm: &logpb.ConfirmStanding{
		Host: s.a.host.id, Epoch: s.epoch, Generation: o.GetGeneration(), Index: o.GetIndex(),
	}}})
}

// ask sends a question and waits for its answer. One question at a time.
func (s *session) ask(ctx context.Context, m *agentpb.ConnectRequest) (*agentpb.Answer, error) {
	if err := s.send(m); err != nil {
		return nil, errOver
	}
	select {
	case a := <-s.answers:
		return a, nil
	case <-s.done:
		return nil, errOver
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *session) send(m *agentpb.ConnectRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(m)
}

func (s *session) fault(format string, args ...any) {
	s.a.fleet.fault("%s at %s: %s", s.a.host.name, s.address, fmt.Sprintf(format, args...))
}
