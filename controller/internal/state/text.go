package state

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/salveops/salve/proto/logpb"
)

// Bounds of what comes from outside, so that no host and no person can make the state grow without end.
const (
	maxName   = 256  // bytes of a name
	maxText   = 1024 // bytes of a sentence
	maxValues = 32   // values of an alert, fields of a line
)

// clipped ends a text that was cut.
const clipped = "…"

// clip cuts a text to at most so many bytes, between two characters.
func clip(text string, most int) string {
	if !utf8.ValidString(text) { // it could not be written to a snapshot
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	if len(text) <= most {
		return text
	}
	end := most - len(clipped)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + clipped
}

func clipAll(texts []string, most int) []string {
	out := make([]string, 0, min(len(texts), maxValues))
	for _, t := range texts[:min(len(texts), maxValues)] {
		out = append(out, clip(t, most))
	}
	return out
}

func clipLabels(labels []*logpb.Label) []*logpb.Label {
	out := make([]*logpb.Label, 0, min(len(labels), maxValues))
	for _, l := range labels[:min(len(labels), maxValues)] {
		out = append(out, &logpb.Label{Name: clip(l.GetName(), maxName), Value: clip(l.GetValue(), maxText)})
	}
	return out
}

// plus is a moment and a duration from outside; it never wraps.
func plus(at, d int64) int64 {
	sum := at + d
	switch {
	case d > 0 && sum < at:
		return 1<<63 - 1
	case d < 0 && sum > at:
		return 0
	}
	return sum
}

// sooner is the earlier of two moments, of which 0 is none.
func sooner(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// asDuration is for sentences.
func asDuration(d int64) time.Duration { return time.Duration(d).Round(time.Second) }
