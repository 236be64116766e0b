package story

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
)

// Span is a duration as people say it: "0.4 ms", "19 ms", "5.1 s", "3m 12s", "2d 4h"; "?" if it is
// not known.
func Span(d *durationpb.Duration) string { return span(length(d)) }

func span(d *time.Duration) string {
	if d == nil {
		return "?"
	}
	return Length(*d)
}

// Length is Span of what is known.
func Length(t time.Duration) string {
	switch {
	case t < 0:
		return "-" + Length(max(-t, 0))
	case t < 10*time.Millisecond:
		return tenths(float64(t)/1e6) + " ms"
	case t < time.Second:
		return fmt.Sprintf("%d ms", t.Milliseconds())
	case t < time.Minute:
		return tenths(t.Seconds()) + " s"
	case t < time.Hour:
		return fmt.Sprintf("%dm %ds", t/time.Minute, t%time.Minute/time.Second)
	case t < 48*time.Hour:
		return fmt.Sprintf("%dh %dm", t/time.Hour, t%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd %dh", t/(24*time.Hour), t%(24*time.Hour)/time.Hour)
}

// milliseconds has one place after the point where it matters.
func milliseconds(d time.Duration) string {
	ms := float64(d) / 1e6
	if ms >= 100 {
		return fmt.Sprintf("%.0f", ms)
	}
	return tenths(ms)
}

func tenths(f float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") }

// Number is "no alerts", "1 alert", "2 alerts".
func Number(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun + "s"
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// are is "1 alert is", "2 alerts are".
func are(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " is"
	}
	return Number(n, noun) + " are"
}
