package adminapi

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/proto/adminpb"
)

const (
	// maxBehind is how many committed entries a node that counts as ready may have to apply.
	maxBehind = 1000
	// healthEvery is how often those who watch the health are looked after.
	healthEvery = time.Second
)

func unready(st Standing) string {
	switch {
	case st.Problem != "":
		return fmt.Sprintf("node %s: %s", st.ID, st.Problem)
	case st.Leader == "":
		return fmt.Sprintf("node %s has heard no leader for %s", st.ID, st.Silent.Round(time.Second))
	case st.Behind > maxBehind:
		return fmt.Sprintf("node %s has %d committed entries to apply", st.ID, st.Behind)
	}
	return ""
}

// health is grpc.health.v1: serving means that this node is ready.
type health struct {
	healthpb.UnimplementedHealthServer
	server *Server
}

func (h *health) Check(_ context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if !knownService(r.GetService()) {
		return nil, status.Errorf(codes.NotFound, "there is no service %q", r.GetService())
	}
	return &healthpb.HealthCheckResponse{Status: h.now()}, nil
}

func (h *health) Watch(
	r *healthpb.HealthCheckRequest, out grpc.ServerStreamingServer[healthpb.HealthCheckResponse],
) error {
	ctx, cancel := h.server.streamContext(out.Context())
	defer cancel()
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	last := healthpb.HealthCheckResponse_UNKNOWN
	for {
		now := healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		if knownService(r.GetService()) {
			now = h.now()
		}
		if now != last {
			if err := out.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func (h *health) now() healthpb.HealthCheckResponse_ServingStatus {
	if h.server.Unready() != "" {
		return healthpb.HealthCheckResponse_NOT_SERVING
	}
	return healthpb.HealthCheckResponse_SERVING
}

func knownService(name string) bool {
	return name == "" || name == adminpb.Admin_ServiceDesc.ServiceName
}
