package kind

import (
	"errors"
	"fmt"

	"github.com/salveops/salve/agent/internal/order"
)

// Refusal says why a remedy does not run. Nothing was changed.
type Refusal struct {
	// Reason is a sentence for people.
	Reason string
	// Temporary is true when the same request may be right a moment later.
	Temporary bool
	// Unknown is true when nothing is known to stand in the way, and nothing to be out of it: what the remedy must
	// know could not be found out. It is Temporary as well.
	Unknown bool
	// Needless is true when all that stands in the way is that the target is as the remedy would make it.
	Needless bool

	cause error
}

func (r *Refusal) Error() string { return r.Reason }

// Unwrap is the error behind the refusal, if there is one.
func (r *Refusal) Unwrap() error { return r.cause }

// Refuse is a refusal for good.
func Refuse(format string, args ...any) error {
	return &Refusal{Reason: fmt.Sprintf(format, args...)}
}

// Needless is the refusal of what is done already.
func Needless(format string, args ...any) error {
	return &Refusal{Reason: fmt.Sprintf(format, args...), Needless: true}
}

// Postpone is a refusal for now.
func Postpone(format string, args ...any) error {
	return &Refusal{Reason: fmt.Sprintf(format, args...), Temporary: true}
}

// Unknown turns a failure to find something out into a refusal: what is not known is not acted on.
func Unknown(what string, err error) error {
	return &Refusal{Reason: fmt.Sprintf("%s cannot be known now: %v", what, err), Temporary: true, Unknown: true,
		cause: err}
}

// ErrLost says that only the state of the target can tell what became of an action.
var ErrLost = order.ErrLost

// ErrUnderWay says that an action goes on which ends this process, and which the next one settles.
var ErrUnderWay = errors.New("it is under way, and ends this process")
