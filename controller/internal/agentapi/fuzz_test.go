package agentapi

import (
	"context"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// FuzzSession lets arbitrary messages loose on one session, over the real state machine: nothing panics, nothing
// stops the replica, and the session ends with its stream. The bytes are messages with their lengths before them.
func FuzzSession(f *testing.F) {
	hello := &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Hello{Hello: helloOf("h1")}}
	for _, messages := range [][]*agentpb.ConnectRequest{
		{hello},
		{hello, {What: &agentpb.ConnectRequest_Ping{Ping: &agentpb.Ping{N: 1, Heard: 9}}}, {}},
		{hello, request(&agent{host: "h1", epoch: 1}, 1), request(&agent{host: "h1", epoch: 1}, 0)},
		{hello, edge(&logpb.Edge{Host: "h1", Epoch: 1, Service: "checkout", Serving: 99})},
		{hello, {What: &agentpb.ConnectRequest_Settle{Settle: &logpb.Settle{Host: "h1", SessionEpoch: 1}}}},
		{hello, {What: &agentpb.ConnectRequest_Confirm{Confirm: &logpb.ConfirmStanding{Host: "h1", Epoch: 1, Index: 1 << 63}}}},
		{hello, {What: &agentpb.ConnectRequest_Events{Events: &logpb.Events{Host: "h1", Epoch: 1, Stream: "stream-h1", Event: []*logpb.Event{
			{N: 1, What: &logpb.Event_Fired{Fired: &logpb.Alert{Rule: "slow", Service: "checkout", Severity: "?", EscalateAfter: -1}}},
			{N: 2, What: &logpb.Event_Resolved{}},
			{N: 3},
		}}}}},
		{{}}, {request(&agent{}, 1)},
	} {
		f.Add(lengths(f, messages))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		messages := split(b)
		r := build(t).lead()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		w := &wire{ctx: ctx, in: make(chan *agentpb.ConnectRequest, len(messages))}
		for _, m := range messages {
			w.in <- m
		}
		close(w.in)
		_ = r.server.connect(w)
		if ctx.Err() != nil {
			t.Fatal("the session goes on after its stream")
		}
		cancel()
		r.stop()
		if n := len(r.server.sessions.all()); n != 0 {
			t.Fatalf("%d sessions are left", n)
		}
	})
}

// chunks are an upload without a network.
type chunks struct {
	ctx   context.Context
	in    []*agentpb.EvidenceRequest
	first *agentpb.EvidenceRequest
}

func (c *chunks) Context() context.Context { return c.ctx }

func (c *chunks) Recv() (*agentpb.EvidenceRequest, error) {
	if len(c.in) == 0 {
		return nil, io.EOF
	}
	m := c.in[0]
	c.in = c.in[1:]
	if c.first == nil {
		c.first = m
	}
	return m, nil
}

func (c *chunks) SendAndClose(*agentpb.EvidenceResponse) error { return nil }

// FuzzEvidence hands over arbitrary chunks.
func FuzzEvidence(f *testing.F) {
	f.Add(lengths(f, []*agentpb.EvidenceRequest{{Host: "h1", Digest: digestOf([]byte("x")), Title: "t", Chunk: []byte("x")}}))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		store, err := OpenStore(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{evidence: store}
		s.sessions.open()
		s.sessions.hosts["h1"] = &session{}
		u := &chunks{ctx: t.Context()}
		for _, part := range parts(b) {
			m := new(agentpb.EvidenceRequest)
			if proto.Unmarshal(part, m) == nil {
				u.in = append(u.in, m)
			}
		}
		if err := s.collect(u); err == nil {
			_, body, err := store.Open(u.first.GetDigest())
			if err != nil {
				t.Fatalf("taken, and not there: %v", err)
			}
			body.Close()
		}
	})
}

func lengths[M proto.Message](f *testing.F, messages []M) []byte {
	f.Helper()
	var out []byte
	for _, m := range messages {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		out = append(binary.LittleEndian.AppendUint16(out, uint16(len(b))), b...)
	}
	return out
}

// parts cuts bytes by the lengths in them.
func parts(b []byte) [][]byte {
	var out [][]byte
	for len(b) >= 2 && len(out) < 64 {
		n := min(int(binary.LittleEndian.Uint16(b)), len(b)-2)
		out = append(out, b[2:2+n])
		b = b[2+n:]
	}
	return out
}

// split gives the messages that gRPC would hand over: those that can be decoded.
func split(b []byte) []*agentpb.ConnectRequest {
	var out []*agentpb.ConnectRequest
	for _, part := range parts(b) {
		m := new(agentpb.ConnectRequest)
		if proto.Unmarshal(part, m) != nil {
			break
		}
		out = append(out, m)
	}
	return out
}
