package web

import (
	"encoding/json"
	"errors"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/adminapi/reason"
)

// httpError is a fault of the request that gRPC has no code for.
type httpError struct {
	code int
	text string
}

// Error implements error.
func (e *httpError) Error() string { return e.text }

var (
	errMethod   = &httpError{http.StatusMethodNotAllowed, "POST it; only methods that read can be asked by GET"}
	errMedia    = &httpError{http.StatusUnsupportedMediaType, "Content-Type must be application/json"}
	errTooLarge = &httpError{http.StatusRequestEntityTooLarge, "the body is larger than 1 MiB"}
)

// problem is an error as JSON.
type problem struct {
	Code    string            `json:"code"` // as gRPC calls it
	Message string            `json:"message"`
	Reason  string            `json:"reason,omitempty"` // for programs: "NOT_LEADER", "cap", …
	Meta    map[string]string `json:"metadata,omitempty"`
}

func errorOf(err error) problem {
	reason, meta := reason.Of(err)
	st := status.Convert(err)
	return problem{Code: st.Code().String(), Message: st.Message(), Reason: reason, Meta: meta}
}

// fail answers with an error.
func fail(w http.ResponseWriter, err error) {
	var h *httpError
	if errors.As(err, &h) {
		writeJSON(w, h.code, problem{Code: codes.InvalidArgument.String(), Message: h.text})
		return
	}
	p := errorOf(err)
	code := httpCode(status.Code(err))
	if p.Reason == reason.NotLeader {
		code = http.StatusMisdirectedRequest
	}
	writeJSON(w, code, p)
}

func httpCode(c codes.Code) int {
	switch c {
	case codes.OK:
		return http.StatusOK
	case codes.InvalidArgument, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.NotFound:
		return http.StatusNotFound
	case codes.FailedPrecondition, codes.AlreadyExists, codes.Aborted:
		return http.StatusConflict
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	text, err := marshal(v)
	if err != nil {
		say(w, http.StatusInternalServerError, err.Error())
		return
	}
	deadline(w)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n')) // who went away needs no answer
}

func marshal(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return compact(text)
}
