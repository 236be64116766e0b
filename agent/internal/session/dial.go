package session

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/agentpb"
)

// maxMessage is what a node may say at once: three times the standing orders of a controller with as many pauses as it
// takes. One that says more is not ours.
const maxMessage = 4 << 20

// Dialer makes lines over gRPC.
func Dialer(t *transport.Transport) func(ctx context.Context, address string) (Line, error) {
	return func(ctx context.Context, address string) (Line, error) {
		client, err := t.Client(ctx, address)
		if err != nil {
			return nil, err
		}
		l := &grpcLine{client: client}
		var life context.Context
		life, l.cancel = context.WithCancel(context.Background())
		stop := context.AfterFunc(ctx, l.cancel) // until it is made
		l.stream, err = agentpb.NewLineClient(client).Connect(life, grpc.MaxCallRecvMsgSize(maxMessage))
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			l.Close()
			return nil, err
		}
		return l, nil
	}
}

// grpcLine is one stream on a connection of its own.
type grpcLine struct {
	client *grpc.ClientConn
	stream grpc.BidiStreamingClient[agentpb.ConnectRequest, agentpb.ConnectResponse]
	cancel context.CancelFunc
}

var _ Line = (*grpcLine)(nil)

// Send implements Line.
func (l *grpcLine) Send(m *agentpb.ConnectRequest) error { return l.stream.Send(m) }

// Recv implements Line.
func (l *grpcLine) Recv() (*agentpb.ConnectResponse, error) { return l.stream.Recv() }

// Close implements Line.
func (l *grpcLine) Close() {
	l.cancel()
	_ = l.client.Close() // there is nothing left to lose
}

// Figure implements Line.
func (l *grpcLine) Figure(ctx context.Context, r *agentpb.ReadFigureRequest) (*agentpb.ReadFigureResponse, error) {
	return agentpb.NewFiguresClient(l.client).ReadFigure(ctx, r)
}

// Bundle implements Line.
func (l *grpcLine) Bundle(ctx context.Context, r *agentpb.BundleRequest) (*agentpb.BundleResponse, error) {
	return agentpb.NewLineClient(l.client).Bundle(ctx, r)
}

// Keep implements Line.
func (l *grpcLine) Keep(ctx context.Context, first *agentpb.EvidenceRequest, text string) error {
	up, err := agentpb.NewLineClient(l.client).Evidence(ctx)
	if err != nil {
		return err
	}
	for m := first; m != nil; {
		n := min(len(text), chunkSize)
		m.Chunk, text = []byte(text[:n]), text[n:]
		if err := up.Send(m); err != nil {
			break // CloseAndRecv has the reason
		}
		if m = nil; len(text) > 0 {
			m = &agentpb.EvidenceRequest{}
		}
	}
	if _, err := up.CloseAndRecv(); err != nil {
		return fmt.Errorf("hand over evidence: %w", err)
	}
	return nil
}
