package adminapi_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/salveops/salve/controller/internal/adminapi"
	"github.com/salveops/salve/controller/internal/adminapi/reason"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

func TestHealth(t *testing.T) {
	r := newRig(t)
	h := healthpb.NewHealthClient(r.conn)
	check := func(service string) (healthpb.HealthCheckResponse_ServingStatus, error) {
		got, err := h.Check(r.ctx, &healthpb.HealthCheckRequest{Service: service})
		return got.GetStatus(), err
	}
	for _, service := range []string{"", "salve.admin.v1.Admin"} {
		if got, err := check(service); err != nil || got != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", service, got, err)
		}
	}
	_, err := check("nothing")
	wants(t, err, codes.NotFound, "", "no service")
	watch, err := h.Watch(r.ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got := must[*healthpb.HealthCheckResponse](t)(watch.Recv()); got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("who watches is told %v", got)
	}
	r.Follow("", "", time.Second)
	if got, _ := check(""); got != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("without a leader: %v", got)
	}
	if got := must[*healthpb.HealthCheckResponse](t)(watch.Recv()); got.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("who watches is told %v", got)
	}
}

func TestReflection(t *testing.T) {
	r := newRig(t)
	stream, err := reflectionpb.NewServerReflectionClient(r.conn).ServerReflectionInfo(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, s := range must[*reflectionpb.ServerReflectionResponse](t)(stream.Recv()).GetListServicesResponse().GetService() {
		found[s.GetName()] = true
	}
	if !found["salve.admin.v1.Admin"] || !found["grpc.health.v1.Health"] {
		t.Errorf("it lists %v", found)
	}
}

func TestEvidence(t *testing.T) {
	r := newRig(t)
	read := func(digest []byte) (title, text string, err error) {
		stream, err := r.AdminClient.GetEvidence(r.ctx, &adminpb.GetEvidenceRequest{Digest: digest})
		for err == nil {
			var piece *adminpb.GetEvidenceResponse
			if piece, err = stream.Recv(); err == nil {
				title, text = title+piece.GetTitle(), text+string(piece.GetChunk())
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return title, text, err
	}
	var ref *logpb.EvidenceRef
	for _, i := range must[*adminpb.ListIncidentsResponse](t)(r.ListIncidents(r.ctx, &adminpb.ListIncidentsRequest{})).GetIncidents() {
		if len(i.GetEvidence()) > 0 {
			ref = i.GetEvidence()[0]
		}
	}
	title, text, err := read(ref.GetDigest())
	if err != nil || title != ref.GetTitle() || text != "FATAL: the database system is shutting down\n" {
		t.Errorf("got %q, %q, %v", title, text, err)
	}
	big := make([]byte, 600<<10)
	if _, text, err = read(r.World.Evidence.Put("big", string(big)).GetDigest()); err != nil || len(text) != len(big) {
		t.Errorf("a piece of several chunks: %d bytes, %v", len(text), err)
	}
	if _, text, err = read(r.World.Evidence.Put("nothing", "").GetDigest()); err != nil || text != "" {
		t.Errorf("a piece of nothing: %q, %v", text, err)
	}
	_, _, err = read(make([]byte, 32))
	wants(t, err, codes.NotFound, "", "node c1 does not have")
	_, _, err = read([]byte("short"))
	wants(t, err, codes.InvalidArgument, "", "32 bytes")
}

// A panic in one call is an error of that call.
func TestPanicIsAnError(t *testing.T) {
	log := hclog.NewNullLogger()
	_, err := adminapi.Unary(log)(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "x"},
		func(context.Context, any) (any, error) { panic("a bug") })
	wants(t, err, codes.Internal, "", "its log says where")
	err = adminapi.Stream(log)(nil, nil, &grpc.StreamServerInfo{FullMethod: "x"},
		func(any, grpc.ServerStream) error { panic("a bug") })
	wants(t, err, codes.Internal, "", "its log says where")
}

func TestStatus(t *testing.T) {
	r := newRig(t)
	st := must[*adminpb.StatusResponse](t)(r.Status(r.ctx, &adminpb.StatusRequest{}))
	if st.GetHosts() != 4 || st.GetPermits() != 1 || st.GetOpenIncidents() != 2 || st.GetEscalatedIncidents() != 1 ||
		st.GetLeader() != "c1" || st.GetRole() != "leader" || st.GetTerm() != 3 || st.GetConfigDigest() == "" {
		t.Errorf("status: %v", st)
	}
	if len(st.GetWarnings()) > 0 {
		t.Errorf("warnings where there is nothing to warn of: %v", st.GetWarnings())
	}
	r.Unheard("c2", time.Minute)
	r.Unheard("c3", -1)
	st = must[*adminpb.StatusResponse](t)(r.Status(r.ctx, &adminpb.StatusRequest{}))
	if len(st.GetWarnings()) != 2 {
		t.Errorf("two nodes are silent, and the warnings are %v", st.GetWarnings())
	}
}

// A reload that was refused is something to look at until one goes well.
func TestRefusedConfiguration(t *testing.T) {
	r := newRig(t)
	status := func() *adminpb.StatusResponse {
		return must[*adminpb.StatusResponse](t)(r.Status(r.ctx, &adminpb.StatusRequest{}))
	}
	r.Refuse("controller.hcl:7: no such key")
	if st := status(); st.GetConfigRefused() != "controller.hcl:7: no such key" || st.GetConfigRefusals() != 1 ||
		len(st.GetWarnings()) != 1 || !strings.Contains(st.GetWarnings()[0], "node c1 refused its configuration") {
		t.Errorf("refused %q, %d times; warnings %q", st.GetConfigRefused(), st.GetConfigRefusals(), st.GetWarnings())
	}
	r.Refuse("")
	if st := status(); st.GetConfigRefused() != "" || st.GetConfigRefusals() != 1 || len(st.GetWarnings()) > 0 {
		t.Errorf("after a good one: refused %q; warnings %q", st.GetConfigRefused(), st.GetWarnings())
	}
}

// What keeps a node from its part is said wherever it is asked.
func TestProblemOfANode(t *testing.T) {
	r := newRig(t)
	r.Ail("no cluster yet: c1 says that c3's data are lost")
	st := must[*adminpb.StatusResponse](t)(r.Status(r.ctx, &adminpb.StatusRequest{Stale: true}))
	if got := st.GetWarnings(); len(got) != 1 || got[0] != "node c1: no cluster yet: c1 says that c3's data are lost" {
		t.Errorf("warnings: %q", got)
	}
	if r.API.Unready() == "" {
		t.Error("the node counts as ready")
	}
	_, err := r.Status(r.ctx, &adminpb.StatusRequest{})
	wants(t, err, codes.Unavailable, reason.NoQuorum, "c3's data are lost")
}
