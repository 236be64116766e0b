package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/access"
	"github.com/salveops/salve/proto/adminpb"
)

// api is the operators' API as JSON, method by method as the service descriptor has them: so there is
// nothing here to keep in step.
//
//	POST /api/v1/METHOD         the request as JSON, the answer as JSON
//	GET  /api/v1/METHOD?k=v     methods that only read; plain fields of the request by name
//
// Methods with a stream of answers give one JSON document a line.
type api struct {
	admin   adminpb.AdminServer
	gate    *access.Gate // nil: none
	unary   map[string]grpc.MethodDesc
	streams map[string]grpc.StreamDesc
	log     hclog.Logger
	stop    context.Context
}

func newAPI(admin adminpb.AdminServer, gate *access.Gate, log hclog.Logger, stop context.Context) *api {
	a := &api{
		admin: admin, gate: gate, log: log, stop: stop,
		unary: map[string]grpc.MethodDesc{}, streams: map[string]grpc.StreamDesc{},
	}
	for _, m := range adminpb.Admin_ServiceDesc.Methods {
		a.unary[m.MethodName] = m
	}
	for _, m := range adminpb.Admin_ServiceDesc.Streams {
		if !m.ClientStreams { // a restore is for the command line
			a.streams[m.StreamName] = m
		}
	}
	return a
}

// reads are the methods that change nothing: they may be asked by GET.
func reads(method string) bool {
	return method == "Status" || method == "Watch" || method == "WhoAmI" || strings.HasPrefix(method, "List") || strings.HasPrefix(method, "Get")
}

// list names the methods.
func (a *api) list(w http.ResponseWriter, _ *http.Request) {
	all := make([]string, 0, len(a.unary)+len(a.streams))
	for name := range a.unary {
		all = append(all, name)
	}
	for name := range a.streams {
		all = append(all, name)
	}
	slices.Sort(all)
	writeJSON(w, http.StatusOK, map[string]any{"methods": all})
}

// serve answers one call.
func (a *api) serve(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("method")
	unary, isUnary := a.unary[name]
	stream, isStream := a.streams[name]
	if !isUnary && !isStream {
		fail(w, status.Errorf(codes.NotFound, "there is no method %q; GET /api/v1/ lists them", name))
		return
	}
	decode, err := request(w, r, name)
	if err != nil {
		fail(w, err)
		return
	}
	if isStream {
		a.stream(w, r, stream, decode)
		return
	}
	ctx, cancel := context.WithTimeout(known(r), callWithin)
	defer cancel()
	out, err := unary.Handler(a.admin, ctx, decode, a.unaryGate())
	if err != nil {
		fail(w, err)
		return
	}
	text, err := encode(out)
	if err != nil {
		fail(w, err)
		return
	}
	deadline(w)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // who went away needs no answer
}

// request reads what was sent and gives a function that puts it into the request's message.
func request(w http.ResponseWriter, r *http.Request, method string) (func(any) error, error) {
	switch {
	case r.Method == http.MethodGet && reads(method):
		q := r.URL.Query()
		return func(m any) error { return fill(m.(proto.Message), q) }, nil
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		return nil, errMethod
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errMedia // also because a page of another site cannot send this type unasked
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(readWithin)) // a connection that has none is a test's
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return nil, errTooLarge
		}
		return nil, status.Errorf(codes.InvalidArgument, "read request: %v", err)
	}
	_ = rc.SetReadDeadline(time.Time{}) // else its end would be taken for the end of the connection
	return func(m any) error {
		if len(body) == 0 {
			return nil
		}
		if err := protojson.Unmarshal(body, m.(proto.Message)); err != nil {
			return status.Errorf(codes.InvalidArgument, "the body is not this method's request as JSON: %v", err)
		}
		return nil
	}, nil
}

// encode is a message as JSON, with the names of the API and without the spaces that protojson puts in at
// random.
func encode(m any) ([]byte, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m.(proto.Message))
	if err != nil {
		return nil, status.Errorf(codes.Internal, "encode answer: %v", err)
	}
	return compact(text)
}

func compact(text []byte) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(json.RawMessage(text)); err != nil {
		return nil, status.Errorf(codes.Internal, "encode answer: %v", err)
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}

func deadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeWithin))
}
