package web

import (
	"context"
	"io"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/salveops/salve/proto/adminpb"
)

// stream answers a call with one JSON document a line, until the method, the client or this node ends. What
// ends it before the first line is an ordinary error; after that it is the last line, {"error": …}.
func (a *api) stream(w http.ResponseWriter, r *http.Request, m grpc.StreamDesc, decode func(any) error) {
	ctx, cancel := context.WithCancel(known(r))
	defer cancel()
	defer context.AfterFunc(a.stop, cancel)()
	out := &lines{ctx: ctx, w: w, decode: decode}
	info := &grpc.StreamServerInfo{FullMethod: "/" + adminpb.Admin_ServiceDesc.ServiceName + "/" + m.StreamName, IsServerStream: true}
	err := a.streamGate()(a.admin, out, info, m.Handler)
	switch {
	case err == nil:
		out.begin()
	case !out.begun:
		fail(w, err)
	default:
		_ = out.write(map[string]any{"error": errorOf(err)}) // who went away needs no answer
	}
}

// lines is a stream of gRPC as lines of JSON.
type lines struct {
	ctx    context.Context
	w      http.ResponseWriter
	decode func(any) error
	asked  bool
	begun  bool
}

var _ grpc.ServerStream = (*lines)(nil)

// begin sends the header.
func (l *lines) begin() {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
		l.w.WriteHeader(http.StatusOK)
	}
}

// SendMsg implements grpc.ServerStream.
func (l *lines) SendMsg(m any) error {
	text, err := encode(m)
	if err != nil {
		return err
	}
	l.begin()
	return l.put(text)
}

func (l *lines) write(v any) error {
	text, err := marshal(v)
	if err != nil {
		return err
	}
	return l.put(text)
}

func (l *lines) put(text []byte) error {
	deadline(l.w)
	if _, err := l.w.Write(append(text, '\n')); err != nil {
		return err
	}
	return http.NewResponseController(l.w).Flush()
}

// RecvMsg implements grpc.ServerStream: there is one request.
func (l *lines) RecvMsg(m any) error {
	if l.asked {
		return io.EOF
	}
	l.asked = true
	return l.decode(m)
}

// Context implements grpc.ServerStream.
func (l *lines) Context() context.Context { return l.ctx }

// SetHeader, SendHeader and SetTrailer implement grpc.ServerStream; the API uses none of them.
func (l *lines) SetHeader(metadata.MD) error { return nil }

// SendHeader implements grpc.ServerStream.
func (l *lines) SendHeader(metadata.MD) error { return nil }

// SetTrailer implements grpc.ServerStream.
func (l *lines) SetTrailer(metadata.MD) {}
