package exposition

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/salveops/salve/pkg/wire"
)

// lines are those that a text page would have of one metric of a Protobuf page. They are used again for the next one.
type lines struct {
	samples []Sample
	next    int // of the samples: the first that was not given out

	plain, buckets, sum, count bool // which of the family's names are wanted

	name   []byte
	labels []byte
	text   []byte // of the samples
	millis int64
	timed  bool
	native Native
}

var errText = fmt.Errorf("the metric has more than %d KiB as text", maxText>>10)

// family begins a family, and reports whether one of its names is wanted.
func (l *lines) family(wants func([]byte) bool, name []byte) bool {
	ending := func(e string) bool {
		l.text = append(append(l.text[:0], name...), e...)
		return wants(l.text)
	}
	l.name = name
	l.plain, l.buckets, l.sum, l.count = wants(name), ending("_bucket"), ending("_sum"), ending("_count")
	return l.plain || l.buckets || l.sum || l.count
}

// read reads a metric. The samples have bytes of their own.
func (l *lines) read(raw []byte) error {
	l.samples, l.next, l.labels, l.text, l.timed = l.samples[:0], 0, l.labels[:0], l.text[:0], false
	var of protowire.Number
	var data []byte
	f := wire.Of(raw)
	for f.Next() {
		switch {
		case f.Message(1):
			var err error
			if l.labels, err = appendLabel(l.labels, f.Raw); err != nil {
				return err
			}
		case f.Is(6, protowire.VarintType):
			l.millis, l.timed = int64(f.N), true
		case f.Num <= 7 && f.Raw != nil:
			of, data = f.Num, f.Raw
		}
	}
	if f.Err != nil {
		return f.Err
	}
	switch of {
	case 2, 3, 5:
		return l.single(data)
	case 4:
		return l.summary(data)
	case 7:
		return l.histogram(data)
	}
	return nil
}

// add adds a sample; more is a label beside those of the metric, "" for none.
func (l *lines) add(ending, more string, at, v float64) error {
	start := len(l.text)
	l.text = append(append(l.text, l.name...), ending...)
	name := len(l.text)
	if len(l.labels) > 0 || more != "" {
		l.text = append(append(l.text, '{'), l.labels...)
		if more != "" {
			l.text = append(appendFloat(append(append(l.text, more...), `="`...), at), `",`...)
		}
		l.text[len(l.text)-1] = '}' // in the place of the last comma
	}
	if len(l.text) > maxText {
		return errText
	}
	l.samples = append(l.samples, Sample{Series: l.text[start:len(l.text):len(l.text)], Name: l.text[start:name:name],
		Value: v, Timed: l.timed, Millis: l.millis})
	return nil
}

// single reads a counter, a gauge, or what is neither.
func (l *lines) single(raw []byte) error {
	v, linked := 0.0, []byte(nil)
	f := wire.Of(raw)
	for f.Next() {
		switch {
		case f.Is(1, protowire.Fixed64Type):
			v = f.Float()
		case f.Message(2):
			linked = f.Raw
		}
	}
	if f.Err != nil || !l.plain {
		return f.Err
	}
	if err := l.add("", "", 0, v); err != nil {
		return err
	}
	return l.link(linked)
}

// summary reads one.
func (l *lines) summary(raw []byte) error {
	var count, sum float64
	f := wire.Of(raw)
	for f.Next() {
		switch {
		case f.Is(1, protowire.VarintType):
			count = float64(f.N)
		case f.Is(2, protowire.Fixed64Type):
			sum = f.Float()
		case f.Message(3) && l.plain:
			var share, v float64
			in := wire.Of(f.Raw)
			for in.Next() {
				switch {
				case in.Is(1, protowire.Fixed64Type):
					share = in.Float()
				case in.Is(2, protowire.Fixed64Type):
					v = in.Float()
				}
			}
			if in.Err != nil {
				return in.Err
			}
			if err := l.add("", "quantile", share, v); err != nil {
				return err
			}
		}
	}
	if f.Err != nil {
		return f.Err
	}
	return l.totals(sum, count)
}

// totals adds what summaries and histograms end with.
func (l *lines) totals(sum, count float64) (err error) {
	if l.sum {
		err = l.add("_sum", "", 0, sum)
	}
	if l.count && err == nil {
		err = l.add("_count", "", 0, count)
	}
	return err
}

// histogram reads one, which may have classic buckets, native ones, or both.
func (l *lines) histogram(raw []byte) (err error) {
	var count, sum float64
	l.native.reset()
	f := wire.Of(raw)
	for err == nil && f.Next() {
		switch {
		case f.Is(1, protowire.VarintType):
			count = max(count, float64(f.N))
		case f.Is(4, protowire.Fixed64Type):
			count = max(count, f.Float())
		case f.Is(2, protowire.Fixed64Type):
			sum = f.Float()
		default:
			err = l.native.field(&f)
		}
	}
	if err == nil {
		err = f.Err
	}
	if err == nil && l.buckets {
		err = l.classic(raw, count)
	}
	if err == nil && l.buckets && l.native.there() {
		err = l.nativeOf(raw)
	}
	if err != nil {
		return err
	}
	return l.totals(sum, count)
}

// classic adds the classic buckets. As on a text page there is one for all events, whether it is told or not.
func (l *lines) classic(raw []byte, count float64) error {
	whole := false
	f := wire.Of(raw)
	for f.Next() {
		if !f.Message(3) {
			continue
		}
		var bound, events float64
		var linked []byte
		in := wire.Of(f.Raw)
		for in.Next() {
			switch {
			case in.Is(1, protowire.VarintType):
				events = max(events, float64(in.N))
			case in.Is(4, protowire.Fixed64Type):
				events = max(events, in.Float())
			case in.Is(2, protowire.Fixed64Type):
				bound = in.Float()
			case in.Message(3):
				linked = in.Raw
			}
		}
		if in.Err != nil {
			return in.Err
		}
		whole = whole || math.IsInf(bound, 1)
		if err := l.bucket(bound, events, linked); err != nil {
			return err
		}
	}
	if whole {
		return nil
	}
	return l.bucket(math.Inf(1), count, nil)
}

func (l *lines) bucket(bound, events float64, linked []byte) error {
	if err := l.add("_bucket", "le", bound, events); err != nil {
		return err
	}
	l.samples[len(l.samples)-1].Beside = l.native.there()
	return l.link(linked)
}

// nativeOf adds the native buckets of a histogram, with the newest of their exemplars.
func (l *lines) nativeOf(raw []byte) error {
	if err := l.native.judge(); err != nil {
		return err
	}
	if err := l.add("", "", 0, 0); err != nil {
		return err
	}
	l.samples[len(l.samples)-1].Native = &l.native
	var newest []byte
	last := int64(math.MinInt64)
	f := wire.Of(raw)
	for f.Next() {
		if !f.Message(16) {
			continue
		}
		_, at, err := appendExemplar(nil, f.Raw)
		if err != nil {
			return err
		}
		if at > last {
			newest, last = f.Raw, at
		}
	}
	return l.link(newest)
}
