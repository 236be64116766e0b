package otlp

import (
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	binary    = "application/x-protobuf"
	maxHeader = 16 << 10
)

// serveHTTP answers on a listener. The stop function ends that, and waits until it has ended.
func (d *door) serveHTTP(l net.Listener) (stop func()) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/metrics", d.post)
	s := &http.Server{
		Handler: mux, MaxHeaderBytes: maxHeader, IdleTimeout: idle,
		ReadTimeout: maxReading, WriteTimeout: maxWait + maxReading,
		ErrorLog: d.opt.Log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	done := make(chan struct{})
	go func() {
		_ = s.Serve(l) // ends when it is closed
		close(done)
	}()
	return func() {
		_ = s.Close()
		<-done
	}
}

// post takes a request.
func (d *door) post(w http.ResponseWriter, r *http.Request) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != binary {
		answer(w, http.StatusUnsupportedMediaType, failure(codes.InvalidArgument, "send "+binary+", not JSON"))
		return
	}
	got, err := d.receive(r.Context(), func() ([]byte, error) { return body(w, r) })
	if err != nil {
		number := statusOf(err)
		if number == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		answer(w, number, failure(code(err), err.Error()))
		return
	}
	answer(w, http.StatusOK, got.answer())
}

// body reads the body of a request.
func body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var from io.Reader = http.MaxBytesReader(w, r.Body, maxRequest)
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(from)
		if err != nil {
			return nil, errGzip
		}
		from = io.LimitReader(z, maxRequest+1)
	default:
		return nil, errGzip
	}
	b, err := io.ReadAll(from)
	tooLong := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLong), len(b) > maxRequest:
		return nil, errSize
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errGzip
	case err != nil:
		return nil, errSlow
	}
	return b, nil
}

// statusOf is the status of an error.
func statusOf(err error) int {
	switch code(err) {
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.ResourceExhausted:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusServiceUnavailable
}

// failure is the body of an answer to what was refused.
func failure(c codes.Code, text string) []byte {
	b, _ := proto.Marshal(status.New(c, text).Proto()) // fails for no such message
	return b
}

func answer(w http.ResponseWriter, number int, body []byte) {
	w.Header().Set("Content-Type", binary)
	w.WriteHeader(number)
	_, _ = w.Write(body) // who is gone does not miss it
}

// answer is the ExportMetricsServiceResponse.
func (o outcome) answer() []byte {
	if o.rejected == 0 {
		return nil
	}
	partial := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(o.rejected))
	partial = protowire.AppendString(protowire.AppendTag(partial, 2, protowire.BytesType), o.why.Error())
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), partial)
}
