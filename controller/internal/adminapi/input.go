package adminapi

import (
	"strings"
	"time"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Bounds of what people and programs say.
const (
	maxName     = 256
	maxText     = 1 << 10
	maxBy       = 128
	maxFor      = 366 * 24 * time.Hour
	maxMatchers = 16
	maxLimit    = 1000
	someLimit   = 50
)

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

func notFound(format string, args ...any) error {
	return status.Errorf(codes.NotFound, format, args...)
}

// precondition is a no of this node itself.
func precondition(format string, args ...any) error {
	return status.Errorf(codes.FailedPrecondition, format, args...)
}

// name lets pass what can name something: no blanks, no control characters.
func name(what, s string) (string, error) {
	switch {
	case s == "":
		return "", invalid("the %s is missing", what)
	case len(s) > maxName:
		return "", invalid("the %s has %d bytes, and %d are the most", what, len(s), maxName)
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		return "", invalid("the %s %q has blanks or control characters in it", what, s)
	}
	return s, nil
}

// optionalName is name for what may be missing.
func optionalName(what, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	return name(what, s)
}

// text is one line of what a person wrote.
func text(what, s string, limit int) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case len(s) > limit:
		return "", invalid("the %s has %d bytes, and %d are the most", what, len(s), limit)
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", invalid("the %s %q has control characters in it", what, s)
	}
	return s, nil
}

// because is a reason, a text that must be there: others will wonder.
func because(s string) (string, error) {
	s, err := text("reason", s, maxText)
	if err == nil && s == "" {
		err = invalid("the reason is missing: others will wonder")
	}
	return s, err
}

// by is who asks: what the gate wrote there, or in plain text what the caller says.
func by(s string) (string, error) {
	s, err := text("name of who asks", s, maxBy)
	if err == nil && s == "" {
		err = invalid("the name of who asks is missing")
	}
	return s, err
}

// span is a duration of more than nothing and at most a year.
func span(what string, ns int64) (int64, error) {
	if ns <= 0 || ns > maxFor.Nanoseconds() {
		return 0, invalid("%s of %s: it must be more than nothing and at most a year", what, time.Duration(ns))
	}
	return ns, nil
}

// limit bounds a listing.
func limit(n uint32) int {
	if n == 0 {
		return someLimit
	}
	return int(min(n, maxLimit))
}

// first is the first error of several checks.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
