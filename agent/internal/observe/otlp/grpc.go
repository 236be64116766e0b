package otlp

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // which senders may use
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

const (
	buffer   = 4 << 10
	window   = 64 << 10 // what one call may send before it is read
	maxCalls = 16       // of one connection
	idle     = 10 * time.Minute
)

// serveGRPC answers on a listener. The stop function ends that, and waits until it has ended.
func (d *door) serveGRPC(l net.Listener) (stop func()) {
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(raw{}), grpc.MaxRecvMsgSize(maxRequest), grpc.MaxConcurrentStreams(maxCalls),
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
		grpc.ReadBufferSize(buffer), grpc.WriteBufferSize(buffer), grpc.ConnectionTimeout(maxReading),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idle}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "opentelemetry.proto.collector.metrics.v1.MetricsService",
		HandlerType: (*any)(nil),
		// On the wire a stream with one message is a call. As a stream it is only read once there is room for it.
		Streams: []grpc.StreamDesc{{StreamName: "Export", Handler: d.export, ServerStreams: true}},
	}, nil)
	done := make(chan struct{})
	go func() {
		_ = s.Serve(l) // ends when it is stopped
		close(done)
	}()
	return func() {
		s.Stop()
		<-done
	}
}

// export is the only call.
func (d *door) export(_ any, stream grpc.ServerStream) error {
	got, err := d.receive(stream.Context(), func() ([]byte, error) { return message(stream) })
	if err != nil {
		return status.Error(code(err), err.Error())
	}
	answer := got.answer()
	return stream.SendMsg(&answer)
}

// message reads the one message of a call. Who takes too long is not waited for.
func message(stream grpc.ServerStream) ([]byte, error) {
	type received struct {
		body []byte
		err  error
	}
	came := make(chan received, 1)
	go func() { // until the call ends, at the latest
		var r received
		r.err = stream.RecvMsg(&r.body)
		came <- r
	}()
	timer := time.NewTimer(maxReading)
	defer timer.Stop()
	select {
	case r := <-came:
		return r.body, r.err
	case <-timer.C:
		return nil, errSlow
	}
}

// code is that of an error.
func code(err error) codes.Code {
	switch err {
	case errBusy, errSlow:
		return codes.Unavailable
	case errSize:
		return codes.ResourceExhausted
	case errRequest, errPoints, errGzip:
		return codes.InvalidArgument
	case context.Canceled:
		return codes.Canceled
	}
	return status.Code(err) // of gRPC itself: too large, or not compressed as it says
}

// raw hands over messages as their bytes.
type raw struct{}

// Name implements encoding.CodecV2.
func (raw) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

// Unmarshal implements encoding.CodecV2.
func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
