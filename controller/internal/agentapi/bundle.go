package agentapi

import (
	"bytes"
	"context"
	"crypto/sha256"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/bundle"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Bundle implements agentpb.LineServer: a host gets what it is told to run now, and nothing else.
func (s *Server) Bundle(ctx context.Context, r *agentpb.BundleRequest) (*agentpb.BundleResponse, error) {
	if s.o.Authorize != nil {
		if err := s.o.Authorize(ctx, r.GetHost()); err != nil {
			return nil, status.Error(codes.PermissionDenied, err.Error())
		}
	}
	out := &agentpb.BundleResponse{}
	s.o.Replica.View(func(st *state.State) {
		b, h := st.Bundle(r.GetName()), st.Host(r.GetHost())
		if h == nil || h.GetRemoved() {
			return
		}
		if v := state.Wanted(b, h); v != nil && bytes.Equal(v.GetDigest(), r.GetDigest()) {
			for _, f := range v.GetFiles() {
				out.Files = append(out.Files, proto.CloneOf(f))
			}
		}
	})
	if len(out.GetFiles()) == 0 {
		return nil, status.Error(codes.NotFound, "this host is not told to run that version now")
	}
	return out, nil
}

// bundles brings into the log what a host says of its bundles, unless the log has it: each session says it anew.
func (x *session) bundles(ctx context.Context, c *logpb.ReportBundles) error {
	known := false
	x.server.o.Replica.View(func(st *state.State) {
		known = len(c.GetBundles()) == len(st.Host(x.host).GetBundles())
		for _, hb := range c.GetBundles() {
			was := proto.CloneOf(state.HostBundle(st.Host(x.host), hb.GetName()))
			if was != nil {
				was.Since = hb.GetSince()
			}
			known = known && proto.Equal(was, hb)
		}
	})
	if known {
		return nil
	}
	return x.counts(x.propose(ctx, &logpb.Command{What: &logpb.Command_ReportBundles{ReportBundles: c}}))
}

func checkBundles(x *session, c *logpb.ReportBundles) error {
	if c.GetHost() != x.host || c.GetEpoch() != x.epoch {
		return errNotYours
	}
	return of("bundles", each("bundles", c.GetBundles(), bundle.MaxBundles, func(hb *logpb.HostBundle) error {
		return firstOf(names("name", hb.GetName()), few("wanted", "bytes", len(hb.GetWanted()), sha256.Size),
			few("running", "bytes", len(hb.GetRunning()), sha256.Size), few("error", "bytes", len(hb.GetError()), maxText),
			eachName("shadowed", hb.GetShadowed(), maxItems), eachName("absent", hb.GetAbsent(), maxItems))
	}))
}
