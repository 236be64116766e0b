package exposition

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/salveops/salve/pkg/wire"
)

// Native are the buckets of a native histogram. They hold until the next call of Next.
type Native struct {
	// Schema says how wide they are: 2^Schema of them double a value. Valid are those from -4 to 8.
	Schema int32
	// Threshold is the upper end of the bucket about zero, in which Zero events are.
	Threshold, Zero float64
	Below           float64 // events below zero, but in the bucket about it

	above, below side
}

// side are the buckets on one side of zero, as the page has them.
type side struct {
	spans  []uint64 // offset and length, one after another
	deltas []uint64 // differences of counts
	counts []uint64 // or counts, bits of floating point numbers
}

// The schemas of which buckets are known.
const (
	leastSchema = -4
	mostSchema  = 8
)

// maxNative bounds the buckets on one side, and the spans in which they come.
const maxNative = 4096

var (
	errSpans     = errors.New("its spans do not have as many buckets as there are counts")
	errThreshold = errors.New("the width of its bucket about zero is below zero, or not a number")
	errEvents    = errors.New("a count of it is below zero, or not a number")
)

func (n *Native) reset() {
	*n = Native{above: n.above.empty(), below: n.below.empty()}
}

func (s side) empty() side { return side{s.spans[:0], s.deltas[:0], s.counts[:0]} }

// there reports whether the histogram is a native one, by the rule of Prometheus.
func (n *Native) there() bool {
	return len(n.above.spans)+len(n.below.spans) > 0 || n.Threshold > 0 || n.Zero > 0
}

// field reads a field of a histogram, if it is about native buckets.
func (n *Native) field(f *wire.Fields) error {
	switch {
	case f.Is(5, protowire.VarintType):
		n.Schema = int32(protowire.DecodeZigZag(f.N & math.MaxUint32))
	case f.Is(6, protowire.Fixed64Type):
		n.Threshold = f.Float()
	case f.Is(7, protowire.VarintType):
		n.Zero = max(n.Zero, float64(f.N))
	case f.Is(8, protowire.Fixed64Type) && f.Float() != 0:
		n.Zero = f.Float()
	case f.Num >= 9 && f.Num <= 11:
		return n.below.field(f, 9)
	case f.Num >= 12 && f.Num <= 14:
		return n.above.field(f, 12)
	}
	return nil
}

// field reads one of the three fields of a side, of which the first has that number.
func (s *side) field(f *wire.Fields, first protowire.Number) (err error) {
	switch f.Num - first {
	case 0:
		if f.Raw == nil {
			return nil
		}
		var offset, length uint64
		in := wire.Of(f.Raw)
		for in.Next() {
			switch {
			case in.Is(1, protowire.VarintType):
				offset = in.N
			case in.Is(2, protowire.VarintType):
				length = in.N & math.MaxUint32
			}
		}
		if s.spans = append(s.spans, offset, length); len(s.spans) > 2*maxNative {
			return wire.ErrMany
		}
		return in.Err
	case 1:
		s.deltas, err = f.Varints(f.Num, s.deltas, maxNative)
	default:
		s.counts, err = f.Fixed(f.Num, s.counts, maxNative)
	}
	return err
}

// judge says whether the parts fit together, and counts what is below zero.
func (n *Native) judge() error {
	if n.Schema < leastSchema || n.Schema > mostSchema {
		return fmt.Errorf("its schema %d is not between %d and %d", n.Schema, leastSchema, mostSchema)
	}
	if !fair(n.Threshold) {
		return errThreshold
	}
	if !fair(n.Zero) {
		return errEvents
	}
	if err := n.below.each(func(_ int64, count float64) { n.Below += count }); err != nil {
		return err
	}
	return n.above.each(func(int64, float64) {})
}

// Each calls for each bucket above zero that has events in it, in order, with the powers of two that it lies between; the
// lower one does not belong to it.
func (n *Native) Each(bucket func(from, to, events float64)) {
	power := func(i int64) float64 { return math.Ldexp(float64(i), -int(n.Schema)) }
	_ = n.above.each(func(i int64, events float64) { bucket(power(i-1), power(i), events) }) // judged before
}

// each calls for each bucket with events.
func (s *side) each(bucket func(i int64, events float64)) error {
	integers := len(s.counts) == 0
	size := max(len(s.deltas), len(s.counts))
	at, done, last := int64(0), 0, int64(0)
	for i := 0; i+1 < len(s.spans); i += 2 {
		at += int64(int32(protowire.DecodeZigZag(s.spans[i] & math.MaxUint32)))
		if s.spans[i+1] > uint64(size-done) {
			return errSpans
		}
		for range s.spans[i+1] {
			var events float64
			if integers {
				last += protowire.DecodeZigZag(s.deltas[done])
				events = float64(last)
			} else {
				events = math.Float64frombits(s.counts[done])
			}
			if !fair(events) {
				return errEvents
			}
			if events > 0 {
				bucket(at, events)
			}
			at++
			done++
		}
	}
	if done < size {
		return errSpans
	}
	return nil
}

// fair reports whether a number can be how many events there have been, or how wide a bucket is.
func fair(events float64) bool { return events >= 0 && !math.IsInf(events, 1) }
