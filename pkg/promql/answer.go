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

// element is one of a vector.
type element struct {
	Metric map[string]string
	Value  *point // nil: a histogram
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
func (q *Query) read(raw []byte) (Answer, error) {
	var r reply
	if err := json.Unmarshal(raw, &r); err != nil {
		return Answer{}, errors.New("read answer: it is not the JSON of a Prometheus server")
	}
	if r.Status != "success" {
		return Answer{}, fmt.Errorf("%.40s: %.300s", r.ErrorType, r.Error)
	}
	a := Answer{Warnings: r.Warnings}
	var p *point
	var err error
	switch r.Data.ResultType {
	case "vector":
		p, err = q.pick(r.Data.Result)
	case "scalar":
		p = &point{}
		if err = json.Unmarshal(r.Data.Result, p); err != nil {
			err = fmt.Errorf("read answer: %w", err)
		}
	default:
		err = fmt.Errorf("the answer is a %.40s, and no number: functions such as rate() or avg_over_time() make one of a range",
			r.Data.ResultType)
	}
	if err != nil || p == nil {
		return a, err
	}
	a.At = p.at
	if a.Known = !math.IsNaN(p.value) && !math.IsInf(p.value, 0); a.Known {
		a.Value = p.value
	}
	return a, nil
}

// pick is the element that was asked for; nil if there is none.
func (q *Query) pick(raw json.RawMessage) (*point, error) {
	var elements []element
	if err := json.Unmarshal(raw, &elements); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	var found []element
	for _, e := range elements {
		rest, named := strings.CutPrefix(e.Metric[q.Label], q.Value)
		if q.Label == "" || named && (rest == "" || rest[0] == ':') {
			found = append(found, e)
		}
	}
	switch {
	case len(found) > 1 && q.Label != "":
		return nil, fmt.Errorf("%d elements of the answer have %s = %q: aggregate, as with sum by (%s) (…)",
			len(found), q.Label, q.Value, q.Label)
	case len(found) > 1:
		return nil, fmt.Errorf("the answer has %d elements: aggregate, as with sum() or max()", len(found))
	case len(found) == 1 && found[0].Value == nil:
		return nil, errors.New("the answer is a histogram, and no number: histogram_quantile() makes one of it")
	case len(found) == 1:
		return found[0].Value, nil
	}
	return nil, nil
}
