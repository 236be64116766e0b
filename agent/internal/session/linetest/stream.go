package linetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/salveops/salve/agent/internal/session"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/agentpb"
)

// stream is one agent's stream.
type stream struct {
	server *Server
	up     chan *agentpb.ConnectRequest
	down   chan *agentpb.ConnectResponse
	gone   chan struct{} // closed by the agent's side
	ended  chan struct{} // closed by the node's
	once   sync.Once

	// What follows is the server's, under its mutex.
	host                *host
	epoch               uint64
	ping, serial, heard uint64
	asked               bool
	pushed              map[uint64]bool
}

// streamSize is how many messages a stream holds in each direction: more than any test makes wait.
const streamSize = 1024

func (s *Server) open() (*stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("connection refused")
	}
	st := &stream{server: s, up: make(chan *agentpb.ConnectRequest, streamSize), pushed: map[uint64]bool{},
		down: make(chan *agentpb.ConnectResponse, streamSize), gone: make(chan struct{}), ended: make(chan struct{})}
	s.line[st] = true
	go st.serve()
	return st, nil
}

// serve takes what the agent says, one message after the other.
func (st *stream) serve() {
	s := st.server
	first := true
	for {
		select {
		case m := <-st.up:
			s.mu.Lock()
			switch {
			case !s.line[st]:
			case first && m.GetHello() == nil:
				s.flaw("the first message is no hello: %v", m)
			case first:
				first = false
				s.hello(st, m.GetHello())
			case st.host == nil: // it was not answered
				s.flaw("it goes on without a welcome: %v", m)
			default:
				s.message(st, m)
			}
			s.mu.Unlock()
		case <-st.gone:
			s.mu.Lock()
			st.leave()
			s.mu.Unlock()
			return
		case <-st.ended:
			return
		}
	}
}

// leave takes the stream out of the tables. The caller holds the server's mutex.
func (st *stream) leave() {
	delete(st.server.line, st)
	if st.host != nil && st.host.session == st {
		st.host.session, st.host.bundles = nil, nil
	}
}

// end ends the stream, with a last word unless it is nil. The caller holds the server's mutex.
func (st *stream) end(word *agentpb.ConnectResponse) {
	st.leave()
	if word != nil {
		st.send(word)
	}
	st.once.Do(func() { close(st.ended) })
}

func (st *stream) send(m *agentpb.ConnectResponse) {
	select {
	case st.down <- m:
	default:
		st.server.flaw("the agent does not read")
	}
}

// Dial makes a line without a network: for tests whose time is not real.
func (s *Server) Dial(context.Context, string) (session.Line, error) {
	st, err := s.open()
	if err != nil {
		return nil, err
	}
	return &pipe{stream: st}, nil
}

// pipe is the agent's end.
type pipe struct {
	*stream
	close sync.Once
}

var _ session.Line = (*pipe)(nil)

// Send implements session.Line.
func (p *pipe) Send(m *agentpb.ConnectRequest) error {
	select {
	case <-p.ended:
		return io.EOF
	case <-p.gone:
		return io.EOF
	case p.up <- m:
		return nil
	}
}

// Recv implements session.Line. What was said before the end is heard.
func (p *pipe) Recv() (*agentpb.ConnectResponse, error) {
	select {
	case m := <-p.down:
		return m, nil
	default:
	}
	select {
	case m := <-p.down:
		return m, nil
	case <-p.gone:
		return nil, io.EOF
	case <-p.ended:
	}
	select {
	case m := <-p.down:
		return m, nil
	default:
		return nil, io.EOF
	}
}

// Close implements session.Line.
func (p *pipe) Close() { p.close.Do(func() { close(p.gone) }) }

// Figure implements session.Line.
func (p *pipe) Figure(_ context.Context, r *agentpb.ReadFigureRequest) (*agentpb.ReadFigureResponse, error) {
	return p.server.figure(r)
}

// figure answers the one query that this node has: as many as the host's name has letters.
func (s *Server) figure(r *agentpb.ReadFigureRequest) (*agentpb.ReadFigureResponse, error) {
	if r.GetQuery() != "letters" {
		return nil, fmt.Errorf("no query %q", r.GetQuery())
	}
	return &agentpb.ReadFigureResponse{Known: true, Value: float64(len(r.GetHost())), Answer: 1, Every: int64(time.Second)}, nil
}

// Keep implements session.Line.
func (p *pipe) Keep(_ context.Context, first *agentpb.EvidenceRequest, text string) error {
	return p.server.keep(first, []byte(text))
}

func (s *Server) keep(first *agentpb.EvidenceRequest, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[first.GetHost()]
	sum := sha256.Sum256(body)
	switch {
	case h == nil || h.session == nil:
		return errors.New("evidence is taken from hosts that have a session with this node")
	case string(sum[:]) != string(first.GetDigest()):
		s.flaw("evidence %q has another digest than it says", first.GetTitle())
		return errors.New("the digest is another one")
	}
	s.evidence[string(first.GetDigest())] = string(body)
	return nil
}

// Serve listens on loopback and returns the address; stop ends it.
func (s *Server) Serve() (address string, stop func(), err error) {
	lines, err := transport.New(transport.Options{})
	if err != nil {
		return "", nil, err
	}
	g, l, err := lines.GRPC(context.Background(), "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	agentpb.RegisterLineServer(g, service{server: s})
	agentpb.RegisterFiguresServer(g, service{server: s})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(l)
	}()
	return l.Addr().String(), func() {
		g.Stop()
		<-done
	}, nil
}

// service is the node over gRPC.
type service struct {
	agentpb.UnimplementedLineServer
	agentpb.UnimplementedFiguresServer
	server *Server
}

// ReadFigure implements agentpb.FiguresServer.
func (v service) ReadFigure(_ context.Context, r *agentpb.ReadFigureRequest) (*agentpb.ReadFigureResponse, error) {
	return v.server.figure(r)
}

// Connect implements agentpb.LineServer.
func (v service) Connect(conn grpc.BidiStreamingServer[agentpb.ConnectRequest, agentpb.ConnectResponse]) error {
	st, err := v.server.open()
	if err != nil {
		return err
	}
	p := &pipe{stream: st}
	defer p.Close()
	go func() {
		for {
			m, err := conn.Recv()
			if err != nil || p.Send(m) != nil {
				p.Close()
				return
			}
		}
	}()
	for {
		m, err := p.Recv()
		if err != nil {
			return nil
		}
		if err := conn.Send(m); err != nil {
			return err
		}
	}
}

// Evidence implements agentpb.LineServer.
func (v service) Evidence(up grpc.ClientStreamingServer[agentpb.EvidenceRequest, agentpb.EvidenceResponse]) error {
	first, err := up.Recv()
	if err != nil {
		return err
	}
	body := first.GetChunk()
	for {
		m, err := up.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		body = append(body, m.GetChunk()...)
	}
	if err := v.server.keep(first, body); err != nil {
		return err
	}
	return up.SendAndClose(&agentpb.EvidenceResponse{})
}
