// Package script reads the short notation in which tests of rules write the course of a signal:
//
//	5x30            thirty times 5
//	0+10x6          0 10 20 30 40 50
//	70%+0.5%x60     sixty values, each half a percent more; also -0.5%
//	true x5 false   a word or value, and how often; what is last goes on for ever
//	_x10            the source says nothing
//	unknown x10     the source says that it does not know
//	idle x10        the source says that too little happens to tell a value
//
// Values have the units of conditions, written without a star: %, ms, s, m, h, KiB, MiB, GiB. It is pure.
package script

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/salveops/salve/pkg/signal"
)

// Bounds of a script.
const (
	MaxItems  = 1000
	MaxValues = 1 << 20
)

// Kind is what a source says at one moment.
type Kind uint8

// Kinds of values.
const (
	Known   Kind = iota // it tells a value
	Unknown             // it tells that it does not know
	Idle                // it tells that too little happens for a value
	Silent              // it tells nothing
)

// Value is what a source says at one moment.
type Value struct {
	Kind Kind
	V    float64 // a truth is 1 or 0
	Word string  // of a text signal
}

// Script is the course of one signal. The zero value is silent.
type Script struct {
	text  string
	items []item
}

// String is the script as it was written.
func (s Script) String() string { return s.text }

// item is one value or several in a row.
type item struct {
	Value
	step float64
	end  int // number of the first value after it
}

// At is the value of that number, counted from 0. After the end the last one goes on.
func (s Script) At(n int) Value {
	if n = min(n, s.Len()-1); n < 0 {
		return Value{Kind: Silent}
	}
	i := sort.Search(len(s.items), func(i int) bool { return s.items[i].end > n })
	begin := 0
	if i > 0 {
		begin = s.items[i-1].end
	}
	v := s.items[i].Value
	v.V += float64(n-begin) * s.items[i].step
	return v
}

// Len is how many values the script writes out.
func (s Script) Len() int {
	if len(s.items) == 0 {
		return 0
	}
	return s.items[len(s.items)-1].end
}

// Error says what is wrong with a script, and where.
type Error struct {
	Offset, Length int // bytes of the text that are wrong
	Text           string
	Given          string   // a word that was not understood, and
	Known          []string // those that would have been
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// Parse reads a script of the signal. The error is an *Error.
func Parse(text string, info signal.Info) (Script, error) {
	s := Script{text: text}
	for at := 0; at < len(text); {
		if space(text[at]) {
			at++
			continue
		}
		end := at
		for end < len(text) && !space(text[end]) {
			end++
		}
		if err := s.add(text[at:end], info); err != nil {
			err.Offset, err.Length = at, end-at
			return Script{}, err
		}
		at = end
	}
	if len(s.items) == 0 {
		return Script{}, &Error{Text: "there are no values", Length: len(text)}
	}
	return s, nil
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

const digits = `[0-9]{1,15}(?:\.[0-9]{1,15})?`

var (
	repeatForm = regexp.MustCompile(`^x([0-9]{1,8})$`)
	numberForm = regexp.MustCompile(
		`^([-+]?` + digits + `)([A-Za-z%]*?)(?:([-+]` + digits + `)([A-Za-z%]*?))?(?:x([0-9]{1,8}))?$`)
	wordForm = regexp.MustCompile(`^([a-z_]+?)(?:x([0-9]{1,8}))?$`)
)

// add takes one word of the text.
func (s *Script) add(word string, info signal.Info) *Error {
	if m := repeatForm.FindStringSubmatch(word); m != nil {
		return s.repeat(m[1])
	}
	it, times, err := read(word, info)
	if err != nil {
		return err
	}
	if len(s.items) == MaxItems {
		return &Error{Text: fmt.Sprintf("a course has at most %d items", MaxItems)}
	}
	it.end = s.Len() + 1
	s.items = append(s.items, it)
	if times != "" {
		return s.repeat(times)
	}
	return nil
}

// repeat makes the last item come so often.
func (s *Script) repeat(times string) *Error {
	if len(s.items) == 0 {
		return &Error{Text: "nothing stands before it that could be repeated"}
	}
	n, _ := strconv.Atoi(times) // the form lets eight digits through
	last := &s.items[len(s.items)-1]
	if last.end += n - 1; n < 1 || last.end > MaxValues {
		return &Error{Text: fmt.Sprintf("a course has 1 to %d values", MaxValues)}
	}
	return nil
}

// read reads an item: its first value, its step, and how often it comes ("" is once).
func read(word string, info signal.Info) (it item, times string, err *Error) {
	if m := wordForm.FindStringSubmatch(word); m != nil {
		it.Value, err = reading(m[1], info)
		return it, m[2], err
	}
	m := numberForm.FindStringSubmatch(word)
	switch {
	case m == nil:
		return it, "", &Error{
			Text: fmt.Sprintf("%q is no value: write one such as 5, 85%%, 0+10x100, true, _ or unknown", word)}
	case info.Dim == signal.Bool || info.Dim == signal.Text:
		return it, "", misfit(word, info)
	}
	if it.V, err = scaled(m[1], m[2], info); err != nil {
		return it, "", err
	}
	if m[3] != "" {
		unit := m[4]
		if unit == "" {
			unit = m[2] // 70%+1x10 means one percent
		}
		it.step, err = scaled(m[3], unit, info)
	}
	return it, m[5], err
}

// reading is the value that a word stands for.
func reading(word string, info signal.Info) (Value, *Error) {
	switch {
	case word == "_":
		return Value{Kind: Silent}, nil
	case word == "unknown":
		return Value{Kind: Unknown}, nil
	case word == "idle" && idles(info):
		return Value{Kind: Idle}, nil
	case info.Dim == signal.Bool && word == "true":
		return Value{V: 1}, nil
	case info.Dim == signal.Bool && word == "false":
		return Value{}, nil
	case info.Dim == signal.Text && (len(info.Words) == 0 || slices.Contains(info.Words, word)):
		return Value{Word: word}, nil
	}
	return Value{}, misfit(word, info)
}

// idles reports whether the source of the signal can say that too little happens.
func idles(info signal.Info) bool { return strings.HasPrefix(info.Name, signal.Metric+".") }

func misfit(word string, info signal.Info) *Error {
	e := &Error{Given: strings.TrimRight(word, "0123456789x")}
	switch info.Dim {
	case signal.Bool:
		e.Known = []string{"true", "false", "unknown", "_"}
		e.Text = fmt.Sprintf("%s is true or false, not %q", info.Name, word)
	case signal.Text:
		e.Known = append(slices.Clone(info.Words), "unknown", "_")
		e.Text = fmt.Sprintf("%s is one of %s, not %q", info.Name, strings.Join(info.Words, ", "), word)
	default:
		e.Known = []string{"unknown", "_"}
		if idles(info) {
			e.Known = append(e.Known, "idle")
		}
		e.Text = fmt.Sprintf("%s is a number (%s), not %q", info.Name, info.Dim, word)
	}
	return e
}

// units are the factors of what may stand behind a number, by the dimension that they belong to.
var units = map[signal.Dimension]map[string]float64{
	signal.Ratio:          {"%": 0.01},
	signal.Seconds:        {"ms": 0.001, "s": 1, "m": 60, "h": 3600},
	signal.Bytes:          {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30},
	signal.BytesPerSecond: {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30},
}

func scaled(text, unit string, info signal.Info) (float64, *Error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(v, 0) {
		return 0, &Error{Text: fmt.Sprintf("%q is no number", text)}
	}
	if unit == "" {
		return v, nil
	}
	factor, ok := units[info.Dim][unit]
	if !ok {
		return 0, &Error{Text: fmt.Sprintf("%q does not fit: %s is measured in %s", unit, info.Name, info.Dim)}
	}
	if unit == "%" {
		return v / 100, nil // 85 * 0.01 is not 0.85
	}
	return v * factor, nil
}
