package agentapi

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/proto/agentpb"
)

// Bounds of handing over.
const (
	maxChunk   = 64 << 10
	maxUploads = 8 // at a time
	uploadTime = 30 * time.Second
)

// Evidence takes one piece from a host that has a session here.
func (s *Server) Evidence(stream grpc.ClientStreamingServer[agentpb.EvidenceRequest, agentpb.EvidenceResponse]) error {
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
	default:
		return status.Error(codes.ResourceExhausted, "too many pieces of evidence come at once; try again")
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(stream.Context(), uploadTime)
	defer cancel()
	if !s.sessions.read(func() { done <- s.collect(stream) }) {
		return errStops
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// upload is the agent's side of handing over.
type upload interface {
	Context() context.Context
	Recv() (*agentpb.EvidenceRequest, error)
	SendAndClose(*agentpb.EvidenceResponse) error
}

// collect puts the chunks together and keeps what they make.
func (s *Server) collect(u upload) error {
	first, err := u.Recv()
	if err != nil {
		return err
	}
	if err := s.mayHandOver(u.Context(), first); err != nil {
		return err
	}
	var body []byte
	for m := first; m != nil; {
		switch {
		case len(m.GetChunk()) > maxChunk:
			return status.Errorf(codes.InvalidArgument, "a chunk of %d bytes; at most %d are taken", len(m.GetChunk()), maxChunk)
		case len(body)+len(m.GetChunk()) > maxPiece:
			return status.Errorf(codes.InvalidArgument, "a piece of evidence of more than %d bytes", maxPiece)
		}
		body = append(body, m.GetChunk()...)
		if m, err = u.Recv(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	err = s.evidence.Put(first.GetDigest(), first.GetTitle(), body, clock.Wall())
	switch {
	case errors.Is(err, errDigest):
		return status.Error(codes.DataLoss, err.Error())
	case err != nil:
		s.log.Error("evidence not kept", "host", first.GetHost(), "error", err)
		return status.Error(codes.Internal, "the evidence could not be kept; the log of this node says why")
	}
	return u.SendAndClose(&agentpb.EvidenceResponse{})
}

// mayHandOver checks the first chunk, which names the piece.
func (s *Server) mayHandOver(ctx context.Context, first *agentpb.EvidenceRequest) error {
	if len(first.GetDigest()) != sha256.Size || len(first.GetTitle()) > maxTitle || len(first.GetHost()) > maxName {
		return status.Errorf(codes.InvalidArgument, "the first chunk names the evidence: its SHA-256, and a title of at most %d bytes",
			maxTitle)
	}
	if s.o.Authorize != nil {
		if err := s.o.Authorize(ctx, first.GetHost()); err != nil {
			return status.Error(codes.PermissionDenied, err.Error())
		}
	}
	if s.sessions.of(first.GetHost()) == nil {
		return status.Error(codes.FailedPrecondition, "evidence is taken from hosts that have a session with this node")
	}
	return nil
}
