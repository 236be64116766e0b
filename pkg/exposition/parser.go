// Package exposition reads the pages on which programs tell their metrics: Prometheus' text format
// 0.0.4, OpenMetrics text 1.0, and Prometheus' protocol buffers, which alone have native histograms. It
// takes bytes in and gives samples out, one line at a time, and allocates nothing for a line. A page of
// protocol buffers is read as if it were the text page of the same metrics.
//
// A page may come from anybody, so everything is bounded, and the first line that cannot be read ends
// it with an error. Lines that nobody wants are passed over: of those only the first letters are looked
// at. Names in quotes, which no selector can name, are passed over as well.
package exposition

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// Format is how a page is written.
type Format uint8

const (
	Text        Format = iota // Prometheus' text format 0.0.4
	OpenMetrics               // OpenMetrics text 1.0: ends in "# EOF", times in seconds, exemplars
	Protobuf                  // io.prometheus.client.MetricFamily, each after its length
)

const (
	maxPage = 16 << 20 // bytes
	maxLine = 16 << 10 // bytes, of a line, or a metric of a Protobuf page, that somebody wants
)

// Sample is one line of a page. Its bytes hold until the next call of Next.
type Sample struct {
	Series []byte // as the page has it: name{label="value"}; Labels reads it further
	Name   []byte
	Value  float64 // may be infinite or NaN
	Timed  bool    // the page says of when the sample is
	Millis int64   // that, since 1970
	// Exemplar is what OpenMetrics has after the sample; ReadExemplar reads it.
	Exemplar []byte
	// Native are the buckets of a native histogram, whose Name is wanted with "_bucket"; Value is 0 then. nil: this is
	// a sample of a name and a value.
	Native *Native
	// Beside: this is a classic bucket of a histogram that has native ones as well.
	Beside bool
}

// Parser reads one page after another. It belongs to one goroutine.
type Parser struct {
	wants  func(name []byte) bool
	format Format
	in     *bufio.Reader
	limit  io.LimitedReader
	line   int
	sample Sample
	end    bool // "# EOF" was read
	err    error

	message message // of a Protobuf page
}

// New makes a parser that gives out the samples whose name is wanted; all for nil.
func New(wants func(name []byte) bool) *Parser {
	if wants == nil {
		wants = func([]byte) bool { return true }
	}
	p := &Parser{wants: wants}
	p.in = bufio.NewReaderSize(&p.limit, maxLine)
	return p
}

// Reset begins a new page.
func (p *Parser) Reset(page io.Reader, f Format) {
	p.limit = io.LimitedReader{R: page, N: maxPage + 1}
	p.in.Reset(&p.limit)
	p.format, p.line, p.end, p.err = f, 0, false, nil
	p.message.begin()
}

// Next reads on to the next sample that is wanted. It is false at the end of the page, and after an
// error; Err tells which.
func (p *Parser) Next() bool {
	for p.err == nil {
		found, err := p.step()
		if found && err == nil {
			return true
		}
		p.err = err
	}
	return false
}

// step reads on by a line, or by a part of a Protobuf page. io.EOF is the end of the page.
func (p *Parser) step() (found bool, err error) {
	if p.format == Protobuf {
		return p.nextMetric()
	}
	return p.next()
}

// Sample is what Next found.
func (p *Parser) Sample() Sample { return p.sample }

// Err is why reading ended, with the number of the line or of the family; nil at the end of a whole page.
func (p *Parser) Err() error {
	if p.err == io.EOF {
		return nil
	}
	return p.err
}

var (
	errPage = fmt.Errorf("the page is longer than %d MiB", maxPage>>20)
	errLine = fmt.Errorf("the line is longer than %d KiB", maxLine>>10)
	errHalf = errors.New("the page ends in the middle of a line")
	errEnd  = errors.New(`the page ends before its last line, "# EOF"`)
	errMore = errors.New(`something comes after "# EOF"`)
	errName = errors.New("neither a comment nor the name of a metric")
)

// next reads one line. io.EOF is the end of the page.
func (p *Parser) next() (found bool, err error) {
	line, whole, err := p.read()
	if err == io.EOF && p.format == OpenMetrics && !p.end {
		err = errEnd
	}
	if err != nil {
		return false, err
	}
	p.line++
	found, err = p.look(blank(line), whole)
	if err != nil {
		return false, fmt.Errorf("line %d: %w", p.line, err)
	}
	for !whole && err == nil {
		_, whole, err = p.read()
	}
	return found, err
}

// read gives the next line without its end; whole is false if this is only a part of it.
func (p *Parser) read() (line []byte, whole bool, err error) {
	line, err = p.in.ReadSlice('\n')
	switch {
	case err == nil:
		return line[:len(line)-1], true, nil
	case err == bufio.ErrBufferFull:
		return line, false, nil
	case err == io.EOF && p.limit.N == 0:
		return nil, false, errPage
	case err == io.EOF && len(line) > 0 && p.format == OpenMetrics && string(line) == eof:
		return line, true, nil
	case err == io.EOF && len(line) > 0:
		return nil, false, errHalf
	}
	return nil, false, err
}

const eof = "# EOF"

// look takes the beginning of a line, and reports whether it is a sample that is wanted.
func (p *Parser) look(line []byte, whole bool) (found bool, err error) {
	switch {
	case p.end:
		return false, errMore
	case len(line) == 0 || line[0] == '{':
		return false, nil
	case line[0] == '#':
		p.end = p.format == OpenMetrics && string(line) == eof
		return false, nil
	}
	n := name(line, true)
	switch {
	case n == 0:
		return false, errName
	case !p.wants(line[:n]):
		return false, nil
	case !whole:
		return false, errLine
	}
	return true, p.parse(line, n)
}

// parse reads a sample whose name has n letters.
func (p *Parser) parse(line []byte, n int) error {
	end, rest := n, blank(line[n:])
	if len(rest) > 0 && rest[0] == '{' {
		i := closing(rest)
		if i < 0 {
			return errors.New("the labels have no end")
		}
		end, rest = len(line)-len(rest)+i+1, rest[i+1:]
	}
	p.sample = Sample{Series: line[:end], Name: line[:n]}
	if i := bytes.IndexByte(rest, '#'); i >= 0 && p.format == OpenMetrics {
		rest, p.sample.Exemplar = rest[:i], rest[i+1:]
	}
	value, rest := field(rest)
	v, err := strconv.ParseFloat(string(value), 64)
	if err != nil {
		return fmt.Errorf("%.40q is not the value of a sample", value)
	}
	p.sample.Value = v
	at, rest := field(rest)
	if len(at) > 0 && !p.time(at) {
		return fmt.Errorf("%.40q is not the time of a sample", at)
	}
	if len(rest) > 0 {
		return fmt.Errorf("%.40q comes after the sample", rest)
	}
	return nil
}

func (p *Parser) time(word []byte) bool {
	if p.format == Text {
		ms, err := strconv.ParseInt(string(word), 10, 64)
		p.sample.Millis, p.sample.Timed = ms, true
		return err == nil
	}
	v, err := strconv.ParseFloat(string(word), 64)
	p.sample.Millis, p.sample.Timed = int64(v*1000), true
	return err == nil && math.Abs(v) < 1e12
}

// closing is the index of the brace that ends the labels with which b begins; -1 if there is none.
func closing(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '}':
			return i
		case '"':
			n := quoted(b[i+1:])
			if n < 0 {
				return -1
			}
			i += n + 1
		}
	}
	return -1
}

// quoted is the index of the quote that ends the text with which b begins; -1 if there is none.
func quoted(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return -1
}

// name is how many letters of the name of a metric, or of a label, b begins with.
func name(b []byte, colon bool) int {
	for i, c := range b {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || colon && c == ':'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(b)
}

// blank drops leading blanks.
func blank(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

// field cuts a word off b, and the blanks around it.
func field(b []byte) (word, rest []byte) {
	b = blank(b)
	i := bytes.IndexAny(b, " \t")
	if i < 0 {
		return b, nil
	}
	return b[:i], blank(b[i:])
}
