package exposition

import (
	"errors"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxText bounds the lines that a text page would have of one metric of a Protobuf page.
const maxText = 256 << 10

// message is where a Protobuf page is read.
type message struct {
	family int    // number of the family
	name   []byte // of it
	wanted bool
	left   int64 // bytes of the family that are not read
	lines  lines
}

// begin begins a new page.
func (m *message) begin() {
	m.family, m.left, m.lines.samples, m.lines.next = 0, 0, m.lines.samples[:0], 0
}

var (
	errFamily = errors.New("the page ends in the middle of a family")
	errMetric = fmt.Errorf("the metric is longer than %d KiB", maxLine>>10)
	errLength = errors.New("something in it is longer than it is itself")
	errNumber = errors.New("the number of a length has too many bytes")
	errOrder  = errors.New("a metric comes before its name")
)

// nextMetric is next of a Protobuf page, which is a list of families with their lengths. It gives the lines one after
// another that a text page would have of each metric.
func (p *Parser) nextMetric() (found bool, err error) {
	m := &p.message
	if l := &m.lines; l.next < len(l.samples) {
		p.sample = l.samples[l.next]
		l.next++
		return true, nil
	}
	if m.left == 0 {
		if _, err := p.in.Peek(1); err == io.EOF && p.limit.N > 0 {
			return false, io.EOF
		}
		m.family++
		m.name, m.wanted = m.name[:0], false
		size, err := p.number(math.MaxInt64)
		if err == nil && size > maxPage {
			err = errPage
		}
		m.left = int64(size)
		return false, p.within(err)
	}
	return false, p.within(p.field())
}

// within says of an error where on the page it is.
func (p *Parser) within(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		if err = errFamily; p.limit.N == 0 {
			return errPage
		}
	}
	if err != nil {
		return fmt.Errorf("family %d %.100q: %w", p.message.family, p.message.name, err)
	}
	return nil
}

// field reads a field of a family.
func (p *Parser) field() error {
	m := &p.message
	tag, err := p.number(m.left)
	if err != nil {
		return err
	}
	switch num, typ := protowire.DecodeTag(tag); {
	case typ == protowire.VarintType:
		_, err = p.number(m.left)
		return err
	case typ != protowire.BytesType: // families have only these two
		return fmt.Errorf("a field of it has the type %d, which none has", typ)
	case num == 1:
		return p.open()
	case num == 4 && len(m.name) == 0:
		return errOrder
	case num == 4 && m.wanted:
		return p.metric()
	}
	size, err := p.length()
	if err == nil {
		_, err = p.in.Discard(size)
	}
	return err
}

// open begins the family with this name.
func (p *Parser) open() error {
	m := &p.message
	raw, err := p.bytes()
	if err != nil {
		return err
	}
	m.name = append(m.name[:0], raw...)
	if m.wanted = len(raw) > 0 && name(raw, true) == len(raw); m.wanted {
		m.wanted = m.lines.family(p.wants, m.name)
	}
	_, err = p.in.Discard(len(raw))
	return err
}

// metric reads one metric of the family.
func (p *Parser) metric() error {
	raw, err := p.bytes()
	if err != nil {
		return err
	}
	if err := p.message.lines.read(raw); err != nil {
		return err
	}
	_, err = p.in.Discard(len(raw)) // what was read has bytes of its own
	return err
}

// bytes are those of a field, which stay to be read.
func (p *Parser) bytes() ([]byte, error) {
	size, err := p.length()
	if err != nil {
		return nil, err
	}
	if size > maxLine {
		return nil, errMetric
	}
	raw, err := p.in.Peek(size)
	return raw, err
}

// length reads how long a field is, and takes it off what is left of the family.
func (p *Parser) length() (int, error) {
	n, err := p.number(p.message.left)
	if err != nil {
		return 0, err
	}
	if n > uint64(p.message.left) {
		return 0, errLength
	}
	p.message.left -= int64(n)
	return int(n), nil
}

// number reads a number of variable size, which has not more than so many bytes left for it.
func (p *Parser) number(most int64) (uint64, error) {
	raw, err := p.in.Peek(int(min(most, 10)))
	n, size := protowire.ConsumeVarint(raw)
	switch {
	case size >= 0:
		_, err = p.in.Discard(size)
		p.message.left = max(0, p.message.left-int64(size))
		return n, err
	case err != nil:
		return 0, err
	case most < 10:
		return 0, errLength
	}
	return 0, errNumber
}
