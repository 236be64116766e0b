package local_test

import (
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/agent/internal/local/localtest"
	"github.com/salveops/salve/proto/localpb"
)

// asTheyAre sends and takes bytes as they are.
type asTheyAre struct{}

func (asTheyAre) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (asTheyAre) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = b
	return nil
}

func (asTheyAre) Name() string { return "proto" }

// FuzzAPI sends anything to any method over the socket: there is an answer, and no fault of this side.
func FuzzAPI(f *testing.F) {
	var methods []string
	for _, m := range localpb.Agent_ServiceDesc.Methods {
		methods = append(methods, m.MethodName)
		f.Add(len(methods)-1, []byte(nil))
	}
	methods = append(methods, "Run") // the only stream that comes to an end by itself
	seed := func(method string, m proto.Message) {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		for i, name := range methods {
			if name == method {
				f.Add(i, raw)
			}
		}
	}
	seed("Pause", &localpb.PauseRequest{Target: "unit:worker@1.service", For: durationpb.New(1), Reason: "x"})
	seed("Pause", &localpb.PauseRequest{Target: "all", For: &durationpb.Duration{Seconds: 1 << 60, Nanos: -1}})
	seed("Incident", &localpb.IncidentRequest{Id: "last"})
	seed("Incidents", &localpb.IncidentsRequest{Limit: 1 << 31})
	seed("Signals", &localpb.SignalsRequest{Match: "unit.*["})
	seed("Run", &localpb.RunRequest{Remedy: "restart-app", DryRun: true})
	w := serve(f, localtest.New(), local.Options{})
	service := localpb.File_localpb_agent_proto.Services().ByName("Agent")
	f.Fuzz(func(t *testing.T, n int, raw []byte) {
		name := methods[uint(n)%uint(len(methods))]
		method := service.Methods().ByName(protoreflect.Name(name))
		in, err := protoregistry.GlobalTypes.FindMessageByName(method.Input().FullName())
		if err != nil {
			t.Fatal(err)
		}
		if proto.Unmarshal(raw, in.New().Interface()) != nil {
			return // gRPC answers that by itself
		}
		var answer []byte
		path := "/" + localpb.Agent_ServiceDesc.ServiceName + "/" + name
		if name == "Run" {
			var s grpc.ClientStream
			s, err = w.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, path, grpc.ForceCodec(asTheyAre{}))
			if err == nil {
				_ = s.SendMsg(&raw)
				_ = s.CloseSend()
			}
			for err == nil {
				err = s.RecvMsg(&answer)
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
		} else {
			err = w.conn.Invoke(t.Context(), path, &raw, &answer, grpc.ForceCodec(asTheyAre{}))
		}
		if code := status.Code(err); code == codes.Internal || code == codes.Unknown {
			t.Errorf("%s of %q: %v", name, raw, err)
		}
	})
}
