// Package reason is why a call of the operators' API failed, for programs: an ErrorInfo in the details of
// the gRPC status. It stands alone so that clients need not link the controller.
package reason

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Reasons. What the state machine refuses has its own code, in small letters, such as "cap" or "paused".
const (
	NotLeader = "NOT_LEADER" // another node leads; nothing was done; metadata: "leader", "address"
	NoQuorum  = "NO_QUORUM"  // nobody is known to lead; nothing was done
	Unknown   = "UNKNOWN"    // it may have been done, or may yet be
	Busy      = "BUSY"       // nothing was done
)

// domain of the reasons.
const domain = "salve"

// Error is a gRPC error with its reason, what belongs to it, and when asking again makes sense (0: unknown).
func Error(code codes.Code, why string, meta map[string]string, retry time.Duration, text string) error {
	st := status.New(code, text)
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: why, Domain: domain, Metadata: meta}}
	if retry > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retry)})
	}
	with, err := st.WithDetails(details...)
	if err != nil { // a text that is no UTF-8
		return st.Err()
	}
	return with.Err()
}

// Of is the reason of an error and its metadata; "" if it has none.
func Of(err error) (string, map[string]string) {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == domain {
			return info.GetReason(), info.GetMetadata()
		}
	}
	return "", nil
}

// Retry is when asking again makes sense, 0 if that is not known.
func Retry(err error) time.Duration {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}
