package notify

import (
	"errors"
	"fmt"
	"time"
)

// Error is how a message failed. Any other error of a Sender counts as one that may pass.
type Error struct {
	// Permanent: the place will not take this message however often it is tried.
	Permanent bool
	// Reached: somebody may have got it all the same: the answer was lost, or only some recipients refused.
	// It must be told the end of the incident, too.
	Reached bool
	// RetryAfter: the place asked not to be tried sooner; 0: it did not say.
	RetryAfter time.Duration
	Err        error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Permanent marks an error as one that no retry will cure.
func Permanent(err error) error { return &Error{Permanent: true, Err: err} }

// Classify gives the Error in err's chain, or a passing one around err. It is nil for nil.
func Classify(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return &Error{Permanent: e.Permanent, Reached: e.Reached, RetryAfter: e.RetryAfter, Err: err}
	}
	return &Error{Err: err}
}

func permanentf(format string, args ...any) error { return Permanent(fmt.Errorf(format, args...)) }
