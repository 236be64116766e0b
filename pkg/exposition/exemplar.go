package exposition

import (
	"math"
	"strconv"

	"github.com/salveops/salve/pkg/metric"
)

// Exemplar is one event of those that a sample counts, told so that it can be looked up elsewhere, such as by its trace.
type Exemplar struct {
	Labels []metric.Label
	Value  float64 // finite
	Timed  bool    // the page says of when it is
	Millis int64   // that, since 1970
}

// ReadExemplar reads Sample.Exemplar. It is false for none, and for what is not one: a page is good without.
func ReadExemplar(raw []byte) (e Exemplar, ok bool) {
	raw = blank(raw)
	if len(raw) == 0 || raw[0] != '{' {
		return e, false
	}
	end := closing(raw)
	if end < 0 {
		return e, false
	}
	labels, err := Labels(raw[:end+1])
	if err != nil {
		return e, false
	}
	value, rest := field(raw[end+1:])
	at, rest := field(rest)
	e.Labels = labels
	if e.Value, err = strconv.ParseFloat(string(value), 64); err != nil || e.Value-e.Value != 0 || len(rest) > 0 {
		return e, false
	}
	if len(at) == 0 {
		return e, true
	}
	seconds, err := strconv.ParseFloat(string(at), 64)
	e.Timed, e.Millis = true, int64(seconds*1000)
	return e, err == nil && math.Abs(seconds) < 1e12
}
