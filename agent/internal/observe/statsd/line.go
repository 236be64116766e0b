package statsd

import (
	"bytes"
	"errors"
	"math"
	"strconv"

	"github.com/salveops/salve/agent/internal/observe/figure"
)

// Bounds of a line.
const (
	maxName = 200
	maxTags = 1024 // bytes of all tags
	// maxValue is far above what anybody means, and far below where sums of floats become infinite.
	maxValue  = 1e18
	leastRate = 1e-6
)

// Why a line cannot be read. They are values because a flood of such lines must not cost more than others.
var (
	errForm   = errors.New("it is not name:value|type")
	errName   = errors.New("its name is empty or longer than 200 bytes")
	errKind   = errors.New("its type is none of c, g, ms, h and d")
	errSet    = errors.New("it is of a set (type s), of which no metric is made")
	errValue  = errors.New("its value is not a number of at most 1e18")
	errBelow  = errors.New("its value is below zero, and neither a count nor a timing is")
	errRate   = errors.New("its sample rate is not between 0 and 1")
	errTags   = errors.New("its tags are longer than 1024 bytes")
	errTime   = errors.New("it is about a time of its own, and not about now")
	errLetter = errors.New("a tag has a broken letter in it")
	errPacket = errors.New("it is longer than 64 KiB")
)

// line is what stands in a line after its name, as pieces of it.
type line struct {
	kind   figure.Kind // timings (ms, h, d) are events
	values []byte      // one or several, with colons between them
	unit   float64     // what a value is multiplied with
	weight float64     // how many events a line stands for
	tags   []byte      // with commas between them
}

// parse reads what stands after the colon that ends the name.
func parse(rest []byte) (l line, err error) {
	values, rest, ok := bytes.Cut(rest, []byte{'|'})
	if !ok {
		return l, errForm
	}
	word, rest, more := bytes.Cut(rest, []byte{'|'})
	l = line{values: values, unit: 1, weight: 1}
	switch string(word) {
	case "c":
		l.kind = figure.Counter
	case "g":
		l.kind = figure.Level
	case "ms":
		l.kind, l.unit = figure.Events, 1e-3
	case "h", "d":
		l.kind = figure.Events
	case "s":
		return l, errSet
	default:
		return l, errKind
	}
	for more {
		var part []byte
		part, rest, more = bytes.Cut(rest, []byte{'|'})
		if err := l.extra(part); err != nil {
			return l, err
		}
	}
	return l, nil
}

// extra reads one of the parts after the type. Those that say where a line comes from are of no interest.
func (l *line) extra(part []byte) error {
	if len(part) == 0 {
		return errForm
	}
	switch part[0] {
	case '@':
		rate, ok := number(part[1:])
		if !ok || rate < leastRate || rate > 1 {
			return errRate
		}
		l.weight = 1 / rate
	case '#':
		if l.tags = part[1:]; len(l.tags) > maxTags {
			return errTags
		}
	case 'T':
		return errTime
	}
	return nil
}

// value is one of the values, already in its unit. A signed gauge is a change.
func (l *line) value(text []byte) (v float64, signed bool, err error) {
	v, ok := number(text)
	switch {
	case !ok:
		return 0, false, errValue
	case v < 0 && l.kind != figure.Level:
		return 0, false, errBelow
	}
	return v * l.unit, text[0] == '+' || text[0] == '-', nil
}

// add gives one of the values to what it contributes to.
func (l *line) add(p figure.Part, v float64, signed bool) {
	switch l.kind {
	case figure.Counter:
		p.Grow(0, v*l.weight)
	case figure.Events:
		p.Grow(figure.Step(v), l.weight)
	case figure.Level:
		if signed {
			v += p.Value()
		}
		p.Set(v)
	}
}

func number(text []byte) (float64, bool) {
	if len(text) == 0 || len(text) > 32 {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(text), 64)
	return v, err == nil && math.Abs(v) <= maxValue
}
