package otlp

import "errors"

// reason is why something was refused. Refusals are values because a flood of what is refused must not cost more than
// other points.
type reason struct {
	word string // by which they are counted
	text string
}

// Error implements error.
func (r *reason) Error() string { return r.text }

// word is by what a refusal is counted. Only a point that cannot be read has an error that is no reason.
func word(err error) string {
	if r, ok := errors.AsType[*reason](err); ok {
		return r.word
	}
	return "unreadable"
}

// Why points are refused.
var (
	errOld        = &reason{"old", "it is more than a minute old"}
	errAhead      = &reason{"ahead", "its time is more than a minute ahead"}
	errRepeated   = &reason{"repeated", "it is not newer than the one before"}
	errTwo        = &reason{"ambiguous", "several processes tell of the same series; each needs a service.instance.id of its own"}
	errValue      = &reason{"value", "its value is not a number of at most 1e18"}
	errBelow      = &reason{"value", "its value is below zero, and it says that it only rises"}
	errFalls      = &reason{"kind", "it tells changes of what may fall, so nobody knows what it stands at; let it be cumulative"}
	errTemporal   = &reason{"kind", "it says neither that it is cumulative nor that it is a delta"}
	errAttributes = &reason{"attributes", "it has too many attributes, or too long ones"}
	errLabel      = &reason{"attributes", "an attribute of it cannot be read"}
	errFull       = &reason{"full", "more series match than are kept; match fewer"}
)

// Why whole requests are refused.
var (
	errRequest = &reason{"unreadable", "it is not a request of OTLP's metrics"}
	errPoints  = &reason{"points", "it has more than 100,000 points"}
	errSize    = &reason{"size", "it has more than 4 MiB"}
	errGzip    = &reason{"unreadable", "it is not compressed with gzip, though it says so"}
	errBusy    = &reason{"busy", "too many others are being read"}
	errSlow    = &reason{"slow", "it took too long to come"}
)
