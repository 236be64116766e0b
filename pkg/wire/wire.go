// Package wire walks messages of protocol buffers field by field, for readers that build nothing of what nobody asks for.
// The package is pure.
package wire

import (
	"encoding/binary"
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

var (
	// Err is the error of bytes that are no message.
	Err = errors.New("it is not a message of protocol buffers")
	// ErrMany is the error of a list that is longer than it may be.
	ErrMany = errors.New("a list in it is too long")
)

// Fields walks the fields of a message.
type Fields struct {
	Num protowire.Number
	Raw []byte // of a field with a length: what is in it, never nil; else nil
	N   uint64 // of a number: its bits
	Err error  // why Next ended before the end of the message; nil: it did not

	typ  protowire.Type
	rest []byte
}

// Of walks the fields of that message.
func Of(message []byte) Fields { return Fields{rest: message} }

// Next reads a field; false at the end, and where it cannot be read.
func (f *Fields) Next() bool {
	if len(f.rest) == 0 || f.Err != nil {
		return false
	}
	num, typ, size := protowire.ConsumeTag(f.rest)
	if size < 0 {
		f.Err = Err
		return false
	}
	f.Num, f.typ, f.Raw, f.rest = num, typ, nil, f.rest[size:]
	switch typ {
	case protowire.BytesType:
		f.Raw, size = protowire.ConsumeBytes(f.rest)
	case protowire.VarintType:
		f.N, size = protowire.ConsumeVarint(f.rest)
	case protowire.Fixed64Type:
		f.N, size = protowire.ConsumeFixed64(f.rest)
	default: // fields of later versions
		size = protowire.ConsumeFieldValue(num, typ, f.rest)
	}
	if size < 0 {
		f.Err = Err
		return false
	}
	f.rest = f.rest[size:]
	return true
}

// Is reports whether this is the field with that number. One of another type is unknown, as for every reader of protocol
// buffers.
func (f *Fields) Is(num protowire.Number, typ protowire.Type) bool {
	return f.Num == num && f.typ == typ
}

// Message reports whether this is the field with that number, and has a message or a text in it.
func (f *Fields) Message(num protowire.Number) bool { return f.Is(num, protowire.BytesType) }

// Float is a number of a field of fixed size.
func (f *Fields) Float() float64 { return math.Float64frombits(f.N) }

// Fixed reads a repeated number of fixed size, packed or one by one, and adds its bits to those that were there. It fails
// with ErrMany when they are more than most.
func (f *Fields) Fixed(num protowire.Number, into []uint64, most int) ([]uint64, error) {
	switch {
	case f.Is(num, protowire.Fixed64Type):
		into = append(into, f.N)
	case f.Message(num):
		if len(f.Raw)%8 != 0 {
			return into, Err
		}
		if len(into)+len(f.Raw)/8 > most {
			return into, ErrMany
		}
		for b := f.Raw; len(b) > 0; b = b[8:] {
			into = append(into, binary.LittleEndian.Uint64(b))
		}
	}
	return into, enough(into, most)
}

// Varints does the same with numbers of variable size.
func (f *Fields) Varints(num protowire.Number, into []uint64, most int) ([]uint64, error) {
	switch {
	case f.Is(num, protowire.VarintType):
		into = append(into, f.N)
	case f.Message(num):
		for b := f.Raw; len(b) > 0; {
			n, size := protowire.ConsumeVarint(b)
			if size < 0 {
				return into, Err
			}
			if into = append(into, n); len(into) > most {
				return into, ErrMany
			}
			b = b[size:]
		}
	}
	return into, enough(into, most)
}

func enough(numbers []uint64, most int) error {
	if len(numbers) > most {
		return ErrMany
	}
	return nil
}
