package otlp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

var (
	errWire   = errors.New("it is not a message of protocol buffers")
	errLetter = errors.New("a text in it is not UTF-8")
)

// fields walks the fields of a message.
type fields struct {
	rest []byte
	num  protowire.Number
	typ  protowire.Type
	raw  []byte // of a field with a length: what is in it
	n    uint64 // of a number, its bits
	err  error
}

// next reads a field; false at the end, and where it cannot be read.
func (f *fields) next() bool {
	if len(f.rest) == 0 || f.err != nil {
		return false
	}
	num, typ, size := protowire.ConsumeTag(f.rest)
	if size < 0 {
		f.err = errWire
		return false
	}
	f.num, f.typ, f.raw, f.rest = num, typ, nil, f.rest[size:]
	switch typ {
	case protowire.BytesType:
		f.raw, size = protowire.ConsumeBytes(f.rest)
	case protowire.VarintType:
		f.n, size = protowire.ConsumeVarint(f.rest)
	case protowire.Fixed64Type:
		f.n, size = protowire.ConsumeFixed64(f.rest)
	default: // fields of later versions
		size = protowire.ConsumeFieldValue(num, typ, f.rest)
	}
	if size < 0 {
		f.err = errWire
		return false
	}
	f.rest = f.rest[size:]
	return true
}

// is reports whether this is the field with that number. One of another type is unknown, as for every reader of protocol
// buffers.
func (f *fields) is(num protowire.Number, typ protowire.Type) bool {
	return f.num == num && f.typ == typ
}

// message reports whether this is the field with that number, and has a message or a text in it.
func (f *fields) message(num protowire.Number) bool { return f.is(num, protowire.BytesType) }

// float is a number of a field of fixed size.
func (f *fields) float() float64 { return math.Float64frombits(f.n) }

// numbers reads a repeated number of fixed size, packed or one by one, and adds it to those that were there.
func (f *fields) numbers(num protowire.Number, into []uint64) ([]uint64, error) {
	switch {
	case f.is(num, protowire.Fixed64Type):
		into = append(into, f.n)
	case f.message(num):
		if len(f.raw)%8 != 0 {
			return into, errWire
		}
		if len(into)+len(f.raw)/8 > maxBuckets {
			return into, errBuckets
		}
		for b := f.raw; len(b) > 0; b = b[8:] {
			into = append(into, binary.LittleEndian.Uint64(b))
		}
	}
	return into, enough(into)
}

// varints does the same with numbers of variable size.
func (f *fields) varints(num protowire.Number, into []uint64) ([]uint64, error) {
	switch {
	case f.is(num, protowire.VarintType):
		into = append(into, f.n)
	case f.message(num):
		for b := f.raw; len(b) > 0; {
			n, size := protowire.ConsumeVarint(b)
			if size < 0 {
				return into, errWire
			}
			if into = append(into, n); len(into) > maxBuckets {
				return into, errBuckets
			}
			b = b[size:]
		}
	}
	return into, enough(into)
}

// maxBuckets bounds the buckets of one histogram.
const maxBuckets = 1024

var errBuckets = fmt.Errorf("it has more than %d buckets", maxBuckets)

func enough(numbers []uint64) error {
	if len(numbers) > maxBuckets {
		return errBuckets
	}
	return nil
}
