package recording

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/salveops/salve/pkg/series"
)

// Span is a block that was read.
type Span struct {
	At    []int64 // seconds since 1970, growing
	Lanes []Lane
	Words []string // of text signals: a value is an index into it
	Raw   []byte   // the block as it was, for who copies it
}

// ID tells blocks apart, by their length, checksum and first second.
func (s *Span) ID() string { return fmt.Sprintf("%x-%d", s.Raw[:frame], s.At[0]) }

// Lane is what one series was. Its values are unpacked when one is asked for, so that days of them fit into memory.
type Lane struct {
	Key     series.Key
	skip, n int
	packed  []byte
	values  []uint64 // nil: not unpacked
}

// Drop forgets what was unpacked of the span.
func (s *Span) Drop() {
	for i := range s.Lanes {
		s.Lanes[i].values = nil
	}
}

// Value is that of the i-th second of the span. told is false when nothing was told of the series then; a value that
// was not known is NaN.
func (l *Lane) Value(i int) (v float64, told bool) {
	if i -= l.skip; i < 0 || i >= l.n {
		return math.NaN(), false
	}
	if l.values == nil {
		l.values, _ = values(l.packed, l.n) // Read saw that they can be
	}
	return math.Float64frombits(l.values[i]), true
}

// vain is how often all bytes may be looked at for nothing. Damage costs each block's bytes once; only what somebody
// made, frames within frames that claim each other's bytes, would cost more.
const vain = 16

// Read reads all blocks in the bytes of a recording, in order, and counts the bytes that belong to none: damage, or a
// block that was being written. It stops when yield is false. Its time grows with the bytes, whatever they are: see vain.
func Read(data []byte, yield func(Span) bool) (damaged int) {
	damaged, _ = scan(data, yield)
	return damaged
}

// scan is Read, and counts the bytes that it looked at for nothing.
func scan(data []byte, yield func(Span) bool) (damaged, wasted int) {
	most := vain * len(data)
	for len(data) > 0 {
		payload, ok := framed(data)
		var s Span
		if ok {
			s, ok = parse(payload)
		}
		if !ok {
			wasted += len(payload)
			next := bytes.Index(data[1:], magic[:])
			if next < 0 || wasted > most {
				return damaged + len(data), wasted
			}
			damaged += next + 1
			data = data[next+1:]
			continue
		}
		s.Raw = data[:frame+len(payload)]
		if !yield(s) {
			return damaged, wasted
		}
		data = data[frame+len(payload):]
	}
	return damaged, wasted
}

// framed is the payload that data says to begin with; it is a block's if its checksum holds.
func framed(data []byte) ([]byte, bool) {
	if len(data) < frame || !bytes.Equal(data[:4], magic[:]) {
		return nil, false
	}
	n := binary.LittleEndian.Uint32(data[4:])
	if n > maxBlock || int(n) > len(data)-frame {
		return nil, false
	}
	payload := data[frame : frame+int(n)]
	return payload, crc32.Checksum(payload, castagnoli) == binary.LittleEndian.Uint32(data[8:])
}

// parser takes a payload apart. After the first thing that cannot be, it is bad and gives zeros.
type parser struct {
	buf []byte
	bad bool
}

func (p *parser) number(most int) int {
	v, n := binary.Uvarint(p.buf)
	if n <= 0 || v > uint64(most) {
		p.bad = true
		return 0
	}
	p.buf = p.buf[n:]
	return int(v)
}

func (p *parser) bytes(n int) []byte {
	if n > len(p.buf) {
		p.bad = true
		return nil
	}
	b := p.buf[:n]
	p.buf = p.buf[n:]
	return b
}

func (p *parser) text() string { return string(p.bytes(p.number(maxText))) }

func parse(payload []byte) (Span, bool) {
	start, n := binary.Varint(payload)
	if n <= 0 {
		return Span{}, false
	}
	p := &parser{buf: payload[n:]}
	var s Span
	for i := range p.number(MaxTicks) {
		delta := p.number(math.MaxInt32)
		if start += int64(delta); p.bad || i > 0 && delta == 0 {
			return Span{}, false
		}
		s.At = append(s.At, start)
	}
	for range p.number(maxWords) {
		s.Words = append(s.Words, p.text())
	}
	for range p.number(maxSeries) {
		l := Lane{Key: series.Key{Signal: p.text(), Of: p.text()}, skip: p.number(MaxTicks), n: p.number(MaxTicks)}
		l.packed = p.bytes(p.number(len(p.buf)))
		if _, ok := values(l.packed, l.n); !ok || p.bad || l.skip+l.n > len(s.At) {
			return Span{}, false
		}
		s.Lanes = append(s.Lanes, l)
	}
	return s, !p.bad && len(s.At) > 0
}
