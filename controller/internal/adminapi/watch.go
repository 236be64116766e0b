package adminapi

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/salveops/salve/controller/internal/adminapi/reason"
	"github.com/salveops/salve/proto/adminpb"
)

const (
	maxReplay   = 1000
	maxWatchers = 64
	// watchSilent is for how long a node that hears no leader goes on as if nothing happened anywhere.
	watchSilent = 10 * time.Second
)

// Watch implements adminpb.AdminServer. It follows this node's state, so any node can serve it; but one that
// hears no leader ends it, for its silence would look like peace.
func (s *Server) Watch(r *adminpb.WatchRequest, out grpc.ServerStreamingServer[adminpb.WatchResponse]) error {
	service, err := optionalName("service", r.GetService())
	if err != nil {
		return err
	}
	if s.watchers.Add(1) > maxWatchers {
		s.watchers.Add(-1)
		return reason.Error(codes.ResourceExhausted, reason.Busy, nil, time.Second, "too many watch this node already")
	}
	defer s.watchers.Add(-1)
	ctx, cancel := s.streamContext(out.Context())
	defer cancel()
	w, past := s.feed.join(service, int(min(r.GetReplay(), maxReplay)))
	defer s.feed.leave(w)
	for _, l := range past {
		if err := out.Send(l); err != nil {
			return err
		}
	}
	return s.follow(ctx, w, out)
}

// follow sends what is new until the caller, this node, or its line to the leader ends.
func (s *Server) follow(ctx context.Context, w *watcher, out grpc.ServerStreamingServer[adminpb.WatchResponse]) error {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case l := <-w.lines:
			if err := out.Send(l); err != nil {
				return err
			}
		case <-w.slow:
			return reason.Error(codes.ResourceExhausted, reason.Busy, nil, 0, "the lines were not taken as fast as they came")
		case <-look.C:
			if st := s.o.Node.Standing(); st.Silent > watchSilent {
				return notLeader(Standing{ID: st.ID, Silent: st.Silent})
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
