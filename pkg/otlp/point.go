package otlp

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/salveops/salve/pkg/wire"
)

// Point is one measurement.
type Point struct {
	Attributes  Attributes
	Start, Time uint64 // nanoseconds since 1970; 0: it does not say
	// None: it only says that there is nothing any more. Nothing else is read then.
	None bool

	Value float64 // of a Gauge or a Sum

	// Of histograms: how many events, what they add up to if HasSum, and how many were in each bucket.
	Count  uint64
	Sum    float64
	HasSum bool
	Counts []uint64
	// Bounds are the upper ends of the Counts of a Histogram, but of the last one, which has none. No Counts and no
	// Bounds: only Count and Sum are known.
	Bounds []float64
	// The i-th of the Counts of an Exponential goes from Base(Scale)^(Offset+i) to the next power. Zero more are about 0.
	Scale, Offset int32
	Zero          uint64

	numbers []uint64 // scratch
}

// Why a point cannot be understood. They are values because a flood of such points must not cost more than others.
var (
	errTime     = errors.New("it has no time")
	errNumber   = errors.New("it has no value")
	errBounds   = errors.New("its bounds do not rise, or are not one less than its buckets")
	errCount    = errors.New("its buckets do not add up to its count")
	errNegative = errors.New("it has events below zero, of which no quantile is made")
	errScale    = errors.New("its scale is not between -10 and 20")
	errBuckets  = fmt.Errorf("it has more than %d buckets", maxBuckets)
	errKind     = errors.New("it is of a summary, or of what this version does not know")
)

// maxBuckets bounds the buckets of one histogram.
const maxBuckets = 1024

// The scales of exponential histograms.
const (
	leastScale = -10
	mostScale  = 20
)

func (p *Point) reset() {
	*p = Point{Attributes: p.Attributes[:0], Counts: p.Counts[:0], Bounds: p.Bounds[:0],
		numbers: p.numbers[:0]}
}

// attributesAt is the number of the field with the attributes, by kind.
var attributesAt = [...]protowire.Number{Gauge: 7, Sum: 7, Histogram: 9, Exponential: 1}

// flagsAt is that of the flags.
var flagsAt = [...]protowire.Number{Gauge: 8, Sum: 8, Histogram: 10, Exponential: 10}

// read reads a point of that kind.
func (p *Point) read(kind Kind, raw []byte) error {
	if kind == Other {
		return errKind
	}
	var err error
	value := false
	f := wire.Of(raw)
	for err == nil && f.Next() {
		switch {
		case f.Message(attributesAt[kind]):
			p.Attributes = append(p.Attributes, f.Raw)
		case f.Is(2, protowire.Fixed64Type):
			p.Start = f.N
		case f.Is(3, protowire.Fixed64Type):
			p.Time = f.N
		case f.Is(flagsAt[kind], protowire.VarintType):
			p.None = f.N&1 != 0
		case kind == Gauge, kind == Sum:
			value = p.number(&f) || value
		default:
			err = p.events(kind, &f)
		}
	}
	switch {
	case err == wire.ErrMany:
		return errBuckets
	case err != nil:
		return err
	case f.Err != nil:
		return f.Err
	case p.Time == 0:
		return errTime
	case p.None:
		return nil
	case kind == Gauge || kind == Sum:
		if !value {
			return errNumber
		}
		return nil
	}
	return p.judge(kind)
}

// number reads the value of a Gauge or a Sum; false: this field is another.
func (p *Point) number(f *wire.Fields) bool {
	switch {
	case f.Is(4, protowire.Fixed64Type):
		p.Value = f.Float()
	case f.Is(6, protowire.Fixed64Type):
		p.Value = float64(int64(f.N))
	default:
		return false
	}
	return true
}

// events reads what histograms have.
func (p *Point) events(kind Kind, f *wire.Fields) (err error) {
	switch {
	case f.Is(4, protowire.Fixed64Type):
		p.Count = f.N
	case f.Is(5, protowire.Fixed64Type):
		p.Sum, p.HasSum = f.Float(), true
	case kind == Histogram && f.Num == 6:
		p.Counts, err = f.Fixed(6, p.Counts, maxBuckets)
	case kind == Histogram && f.Num == 7:
		p.numbers, err = f.Fixed(7, p.numbers, maxBuckets)
	case kind == Exponential && f.Is(6, protowire.VarintType):
		p.Scale = int32(protowire.DecodeZigZag(f.N & math.MaxUint32))
	case kind == Exponential && f.Is(7, protowire.Fixed64Type):
		p.Zero = f.N
	case kind == Exponential && f.Message(8):
		p.Offset, p.Counts, err = buckets(f.Raw, p.Offset, p.Counts)
	case kind == Exponential && f.Message(9):
		var below []uint64
		if _, below, err = buckets(f.Raw, 0, nil); err == nil && slices.ContainsFunc(below, func(n uint64) bool { return n > 0 }) {
			err = errNegative
		}
	}
	return err
}

// buckets reads those of one side of an exponential histogram, beside what was read of it.
func buckets(raw []byte, offset int32, counts []uint64) (int32, []uint64, error) {
	f := wire.Of(raw)
	for f.Next() {
		if f.Is(1, protowire.VarintType) {
			offset = int32(protowire.DecodeZigZag(f.N & math.MaxUint32))
		}
		var err error
		if counts, err = f.Varints(2, counts, maxBuckets); err != nil {
			return 0, counts, err
		}
	}
	return offset, counts, f.Err
}

// judge says whether the parts of a point of several fit together.
func (p *Point) judge(kind Kind) error {
	for _, bits := range p.numbers {
		p.Bounds = append(p.Bounds, math.Float64frombits(bits))
	}
	total, bounded := p.Zero, true
	for _, n := range p.Counts {
		total += n
		bounded = bounded && n <= total // it did not go round
	}
	switch {
	case kind == Histogram && len(p.Counts) == 0 && len(p.Bounds) == 0:
		return nil
	case kind == Exponential && (p.Scale < leastScale || p.Scale > mostScale):
		return errScale
	case kind == Histogram && (len(p.Counts) != len(p.Bounds)+1 || !rise(p.Bounds)):
		return errBounds
	case total != p.Count || !bounded:
		return errCount
	}
	return nil
}

// rise reports whether each bound is a number above the one before.
func rise(bounds []float64) bool {
	for i, b := range bounds {
		if math.IsNaN(b) || math.IsInf(b, 0) || i > 0 && b <= bounds[i-1] {
			return false
		}
	}
	return true
}
