package source

import (
	"errors"
	"net/url"
)

// WithoutURL is the error of an HTTP client without the address, in whose query a token may stand: errors get into the
// log, and every user of the socket sees them.
func WithoutURL(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}
