package promql

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// reply is the JSON of an answer.
type reply struct {
	Status, ErrorType, Error string
	Warnings                 []string
	Data                     struct {
		ResultType string
		Result     json.RawMessage
	}
}

// Answer is what a server said.
type Answer struct {
	Warnings []string // reservations of the server: such as that it could not ask everybody
	label    string
	elements []element
}

// element is one of a vector, or a scalar.
type element struct {
	host  string
	value *point // nil: a histogram
}

// Figure is one number of an answer.
type Figure struct {
	Value float64
	Known bool      // false: there is no element, or no finite number; Value means nothing then
	At    time.Time // the moment that was asked about, by the server's clock; zero without an element
}

// late is the age from which a number does not count.
const late = time.Minute

// Late says why a number does not count that was asked for at a moment by the own clock, nil if it does: it is about a
// moment long before.
func (f Figure) Late(asked time.Time) error {
	if old := asked.Sub(f.At); f.Known && old > late {
		return fmt.Errorf("the answer is %s old by the clock of who asked: something keeps answers, or a clock is wrong",
			old.Round(time.Second))
	}
	return nil
}

// point is a moment and a number.
type point struct {
	at    time.Time
	value float64
}

// UnmarshalJSON reads [seconds, "number"].
func (p *point) UnmarshalJSON(raw []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(raw, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return errors.New("a value is a moment and a number")
	}
	var seconds float64
	var text string
	if err := errors.Join(json.Unmarshal(pair[0], &seconds), json.Unmarshal(pair[1], &text)); err != nil {
		return err
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // which is infinite, and as unknown as that
		return fmt.Errorf("%.40q is no number", text)
	}
	if math.Abs(seconds) > 1e11 { // or the moment is no Duration's distance from any clock
		return errors.New("the moment of a value is beyond all years")
	}
	p.at, p.value = time.UnixMilli(int64(seconds*1e3)), v
	return nil
}

// read makes an answer of what the server sent.
func read(raw []byte, label string) (*Answer, error) {
	var r reply
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, errors.New("read answer: it is not the JSON of a Prometheus server")
	}
	if r.Status != "success" {
		return nil, fmt.Errorf("%.40s: %.300s", r.ErrorType, r.Error)
	}
	a := &Answer{Warnings: r.Warnings, label: label}
	switch r.Data.ResultType {
	case "vector":
		var elements []struct {
			Metric map[string]string
			Value  *point
		}
		if err := json.Unmarshal(r.Data.Result, &elements); err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		for _, e := range elements {
			a.elements = append(a.elements, element{strings.Clone(e.Metric[label]), e.Value})
		}
	case "scalar":
		p := &point{}
		if err := json.Unmarshal(r.Data.Result, p); err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		a.elements = []element{{value: p}}
	default:
		return nil, fmt.Errorf("the answer is a %.40s, and no number: functions such as rate() or avg_over_time() make one of "+
			"a range", r.Data.ResultType)
	}
	return a, nil
}

// Figure is the number of an answer. Where the query has a Label it is the number of that host: of the element whose label
// is the host's name, or that with a colon and a port.
func (a *Answer) Figure(host string) (Figure, error) {
	found, n := element{}, 0
	for _, e := range a.elements {
		rest, own := strings.CutPrefix(e.host, host)
		if a.label == "" || own && (rest == "" || rest[0] == ':') {
			found, n = e, n+1
		}
	}
	switch {
	case n > 1 && a.label != "":
		return Figure{}, fmt.Errorf("%d elements of the answer have %s = %q: aggregate, as with sum by (%s) (…)", n, a.label, host,
			a.label)
	case n > 1:
		return Figure{}, fmt.Errorf("the answer has %d elements: aggregate, as with sum() or max()", n)
	case n == 0:
		return Figure{}, nil
	case found.value == nil:
		return Figure{}, errors.New("the answer is a histogram, and no number: histogram_quantile() makes one of it")
	}
	f := Figure{At: found.value.at}
	if v := found.value.value; !math.IsNaN(v) && !math.IsInf(v, 0) {
		f.Value, f.Known = v, true
	}
	return f, nil
}
