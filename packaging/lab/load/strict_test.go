package load

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// strict is a controller that remembers every breach of the protocol by an agent. Its faults are hooks.
type strict struct {
	t    *testing.T
	size int // that commands have to have, 0: any

	// welcome and answer are asked before each such message goes out: false loses it and cuts the stream.
	welcome, answer func(n int) bool
	// busy is asked about each hello.
	busy func(n int) *agentpb.Busy
	// refuse is asked about each request.
	refuse func(n int) *logpb.Refusal
	// urge makes every pong urge the first few times.
	urge int

	mu       sync.Mutex
	breaches []string
	hosts    map[string]*strictHost
	tokens   uint64
	index    uint64
	hellos   int
	answers  int
	requests int
	grants   int
	settles  int
	confirms int
}

type strictHost struct {
	fingerprint, boot, stream string
	epoch                     uint64
	nonces                    []string // all but the one in use
	nonce                     string
	lost                      bool // the answer to nonce was lost
	n                         uint64
	open                      map[uint64]*logpb.Permit
	end                       context.CancelFunc // of the session
}

const strictGeneration = "0123456789abcdef0123456789abcdef"

func newStrict(t *testing.T) *strict {
	s := &strict{t: t, hosts: map[string]*strictHost{}, index: 100}
	s.welcome = func(int) bool { return true }
	s.answer = s.welcome
	s.busy = func(int) *agentpb.Busy { return nil }
	s.refuse = func(int) *logpb.Refusal { return nil }
	return s
}

// check fails the test if an agent broke the protocol or the fleet saw a fault.
func (s *strict) check(f *Fleet) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.breaches {
		s.t.Errorf("breach: %s", b)
	}
	for _, b := range f.Faults() {
		s.t.Errorf("the fleet says: %s", b)
	}
}

func (s *strict) breach(format string, args ...any) {
	if len(s.breaches) < 10 {
		s.breaches = append(s.breaches, fmt.Sprintf(format, args...))
	}
}

// openPermits counts them.
func (s *strict) openPermits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, h := range s.hosts {
		n += len(h.open)
	}
	return n
}

// node is one node of the cluster: away is what it answers to a hello, nil: it leads.
type node struct {
	agentpb.UnimplementedLineServer
	s    *strict
	away *agentpb.ConnectResponse
	spy  *spy
}

// spy counts the connections of a listener.
type spy struct {
	net.Listener
	mu sync.Mutex
	n  int
}

func (l *spy) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.n++
	}
	return c, err
}

// serve starts a node on loopback and returns its address.
func (n *node) serve() string {
	n.s.t.Helper()
	tr, err := transport.New(transport.Options{})
	if err != nil {
		n.s.t.Fatal(err)
	}
	server, l, err := tr.GRPC(n.s.t.Context(), "127.0.0.1:0")
	if err != nil {
		n.s.t.Fatal(err)
	}
	agentpb.RegisterLineServer(server, n)
	n.spy = &spy{Listener: l}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(n.spy)
	}()
	n.s.t.Cleanup(func() {
		server.Stop()
		<-ended
	})
	return l.Addr().String()
}

type strictStream = grpc.BidiStreamingServer[agentpb.ConnectRequest, agentpb.ConnectResponse]

var errCut = status.Error(codes.Unavailable, "cut")

func (n *node) Connect(stream strictStream) error {
	m, err := stream.Recv()
	if err != nil {
		return err
	}
	hello := m.GetHello()
	if n.away != nil {
		return stream.Send(n.away)
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	w, busy, ok := n.s.enter(hello, cancel)
	switch {
	case busy != nil:
		return stream.Send(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Busy{Busy: busy}})
	case !ok:
		return errCut
	}
	if err := stream.Send(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Welcome{Welcome: w}}); err != nil {
		return err
	}
	session := &strictSession{s: n.s, stream: stream, id: hello.GetHost(), epoch: w.GetEpoch()}
	ended := make(chan error, 1)
	go func() { ended <- session.run() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = errCut
	}
	return err
}

// enter judges a hello.
func (s *strict) enter(c *logpb.Hello, end context.CancelFunc) (*logpb.Welcome, *agentpb.Busy, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hellos++
	if b := s.busy(s.hellos); b != nil {
		return nil, b, true
	}
	if raw, err := hex.DecodeString(c.GetHost()); err != nil || len(raw) != 16 {
		s.breach("host %q is no ID", c.GetHost())
	}
	h := s.hosts[c.GetHost()]
	if h == nil {
		h = &strictHost{fingerprint: c.GetFingerprint(), boot: c.GetBootId(), stream: c.GetStream(), open: map[uint64]*logpb.Permit{}}
		s.hosts[c.GetHost()] = h
	}
	s.checkHello(c, h)
	if h.end != nil {
		h.end()
	}
	if c.GetNonce() != h.nonce {
		h.nonces = append(h.nonces, h.nonce)
		h.nonce, h.n = c.GetNonce(), 0
		h.epoch = s.highest() + 1
	}
	h.end = end
	s.index++
	w := &logpb.Welcome{Epoch: h.epoch, Generation: strictGeneration, Stream: h.stream}
	for _, p := range h.open {
		w.Permits = append(w.Permits, p)
	}
	h.lost = !s.welcome(s.hellos)
	return w, nil, !h.lost
}

func (s *strict) checkHello(c *logpb.Hello, h *strictHost) {
	name := c.GetName()
	switch {
	case c.GetFingerprint() != h.fingerprint || c.GetBootId() != h.boot || c.GetStream() != h.stream:
		s.breach("%s is another machine now", name)
	case c.GetNonce() == "" || slices.Contains(h.nonces, c.GetNonce()):
		s.breach("%s says hello with the nonce %q again", name, c.GetNonce())
	case h.lost && c.GetNonce() != h.nonce:
		s.breach("%s has another nonce, and the hello before was not answered", name)
	case !h.lost && (c.GetNonce() == h.nonce || c.GetLastEpoch() != h.epoch):
		s.breach("%s says hello with last epoch %d, and it has %d", name, c.GetLastEpoch(), h.epoch)
	case c.GetLastEpoch() > 0 && c.GetGeneration() != strictGeneration:
		s.breach("%s forgot the generation", name)
	case c.GetIndex() > s.index:
		s.breach("%s saw index %d of %d", name, c.GetIndex(), s.index)
	case len(c.GetServices()) != 2 || len(c.GetRunning()) != 0:
		s.breach("%s reports %v", name, c.GetServices())
	}
}

func (s *strict) highest() uint64 {
	var most uint64
	for _, h := range s.hosts {
		most = max(most, h.epoch)
	}
	return most
}

// strictSession serves one welcome session.
type strictSession struct {
	s        *strict
	stream   strictStream
	id       string
	epoch    uint64
	ping     uint64
	serial   uint64
	standing uint64
}

func (x *strictSession) run() error {
	if err := x.orders(); err != nil {
		return err
	}
	for {
		m, err := x.stream.Recv()
		if err != nil {
			return err
		}
		var reply []*agentpb.ConnectResponse
		x.s.mu.Lock()
		switch what := m.GetWhat().(type) {
		case *agentpb.ConnectRequest_Ping:
			reply = x.pong(what.Ping)
		case *agentpb.ConnectRequest_Request:
			reply = x.request(what.Request)
		case *agentpb.ConnectRequest_Settle:
			reply = x.settle(what.Settle)
		case *agentpb.ConnectRequest_Confirm:
			x.confirm(what.Confirm)
		default:
			x.s.breach("a session says %T", what)
		}
		x.s.mu.Unlock()
		for _, r := range reply {
			if r == nil {
				return errCut
			}
			if err := x.stream.Send(r); err != nil {
				return err
			}
		}
	}
}

// orders sends standing orders.
func (x *strictSession) orders() error {
	x.s.mu.Lock()
	x.s.index++
	x.standing = x.s.index
	x.s.mu.Unlock()
	return x.stream.Send(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Standing{
		Standing: &agentpb.Standing{Generation: strictGeneration, Index: x.standing},
	}})
}

func (x *strictSession) confirm(c *logpb.ConfirmStanding) {
	x.s.confirms++
	if c.GetHost() != x.id || c.GetEpoch() != x.epoch || c.GetGeneration() != strictGeneration || c.GetIndex() != x.standing {
		x.s.breach("confirmed is %v, and the orders were of index %d", c, x.standing)
	}
}

func (x *strictSession) pong(p *agentpb.Ping) []*agentpb.ConnectResponse {
	if p.GetN() != x.ping+1 || p.GetHeard() > x.serial {
		x.s.breach("ping %d after %d, heard pong %d of %d", p.GetN(), x.ping, p.GetHeard(), x.serial)
	}
	x.ping = p.GetN()
	x.serial++
	pong := &agentpb.Pong{N: x.ping, Serial: x.serial}
	if x.s.urge > 0 {
		x.s.urge--
		pong.Urge = true
	}
	return []*agentpb.ConnectResponse{{What: &agentpb.ConnectResponse_Pong{Pong: pong}}}
}

func (x *strictSession) request(c *logpb.Request) []*agentpb.ConnectResponse {
	s, h := x.s, x.s.hosts[x.id]
	s.requests++
	size := proto.Size(&logpb.Command{What: &logpb.Command_Request{Request: c}})
	switch {
	case c.GetHost() != x.id || c.GetEpoch() != h.epoch || c.GetN() != h.n+1:
		s.breach("request %d of epoch %d, expected %d of %d", c.GetN(), c.GetEpoch(), h.n+1, h.epoch)
	case len(h.open) > 0:
		s.breach("a request while a permit is open")
	case s.size > 0 && (size < s.size-4 || size > s.size+4):
		s.breach("a request of %d bytes", size)
	case c.GetService() == "" || len(c.GetDigest()) != 32 || len(c.GetClaims()) != 1:
		s.breach("request %v", c)
	}
	h.n = c.GetN()
	s.index++
	if r := s.refuse(s.requests); r != nil {
		return x.reply(&agentpb.Answer{N: c.GetN(), What: &agentpb.Answer_Refusal{Refusal: r}})
	}
	s.tokens++
	s.grants++
	token := &logpb.Token{Generation: strictGeneration, N: s.tokens}
	h.open[s.tokens] = &logpb.Permit{Token: token, Host: x.id, Epoch: c.GetEpoch(), N: c.GetN()}
	return x.reply(&agentpb.Answer{N: c.GetN(), What: &agentpb.Answer_Grant{
		Grant: &logpb.Grant{Token: token, Epoch: c.GetEpoch(), StartBy: 10e9, RunFor: 300e9},
	}})
}

func (x *strictSession) settle(c *logpb.Settle) []*agentpb.ConnectResponse {
	s, h := x.s, x.s.hosts[x.id]
	p := h.open[c.GetToken().GetN()]
	size := proto.Size(&logpb.Command{What: &logpb.Command_Settle{Settle: c}})
	switch {
	case p == nil:
		s.breach("settled is %v, which is not open", c.GetToken())
	case c.GetHost() != x.id || c.GetSessionEpoch() != h.epoch || c.GetEpoch() != p.GetEpoch():
		s.breach("settlement %v of permit %v in epoch %d", c, p, h.epoch)
	case s.size > 0 && (size < s.size-4 || size > s.size+4):
		s.breach("a settlement of %d bytes", size)
	case c.GetSettlement() != logpb.Settlement_SETTLEMENT_SERVING && c.GetSettlement() != logpb.Settlement_SETTLEMENT_UNUSED:
		s.breach("settled as %v", c.GetSettlement())
	}
	delete(h.open, c.GetToken().GetN())
	s.settles++
	s.index++
	return x.reply(&agentpb.Answer{Token: c.GetToken(), What: &agentpb.Answer_Settled{Settled: &agentpb.Settled{}}})
}

// reply is an answer, or the end of the stream if the answer is to be lost.
func (x *strictSession) reply(a *agentpb.Answer) []*agentpb.ConnectResponse {
	x.s.answers++
	if !x.s.answer(x.s.answers) {
		return []*agentpb.ConnectResponse{nil}
	}
	return []*agentpb.ConnectResponse{{What: &agentpb.ConnectResponse_Answer{Answer: a}}}
}
