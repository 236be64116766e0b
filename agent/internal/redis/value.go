package redis

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/salveops/salve/pkg/transport"
)

// Value is one answer: a text, a number in digits, a list, or a refusal. Null is the zero value.
type Value struct {
	Text string
	List []Value
	Err  Error // "": it is none
}

// deepest is how many lists may lie in each other.
const deepest = 4

// errProtocol: the other side does not speak Redis' protocol.
var errProtocol = errors.New("this is no answer of Redis")

// Append appends a command as it goes over the wire.
func Append(wire []byte, words ...string) []byte {
	wire = fmt.Appendf(wire, "*%d\r\n", len(words))
	for _, w := range words {
		wire = fmt.Appendf(wire, "$%d\r\n%s\r\n", len(w), w)
	}
	return wire
}

// read reads one answer that lies in so many lists. Memory is taken for what has come, never for what is announced.
func read(in *bufio.Reader, depth int) (Value, error) {
	raw, err := in.ReadSlice('\n')
	if err != nil {
		return Value{}, early(err)
	}
	line, ended := strings.CutSuffix(string(raw), "\r\n")
	if !ended || line == "" {
		return Value{}, errProtocol
	}
	switch line[0] {
	case '+', ':':
		return Value{Text: line[1:]}, nil
	case '-':
		if line == "-" {
			return Value{}, errProtocol
		}
		return Value{Err: Error(line[1:])}, nil
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < -1 {
		return Value{}, errProtocol
	}
	switch {
	case line[0] == '$':
		return bulk(in, n)
	case line[0] == '*' && depth < deepest:
		return list(in, n, depth)
	}
	return Value{}, errProtocol
}

// bulk reads a text of n bytes; -1 is null.
func bulk(in *bufio.Reader, n int) (Value, error) {
	if n < 0 {
		return Value{}, nil
	}
	if n > most {
		return Value{}, transport.ErrTooMuch
	}
	text, err := io.ReadAll(io.LimitReader(in, int64(n)+2))
	switch {
	case err != nil:
		return Value{}, err
	case len(text) < n+2:
		return Value{}, io.ErrUnexpectedEOF
	case string(text[n:]) != "\r\n":
		return Value{}, errProtocol
	}
	return Value{Text: string(text[:n])}, nil
}

func list(in *bufio.Reader, n, depth int) (Value, error) {
	var v Value
	for range n {
		one, err := read(in, depth+1)
		if err != nil {
			return Value{}, err
		}
		v.List = append(v.List, one)
	}
	return v, nil
}

// early is the error of a line that did not come to its end.
func early(err error) error {
	if errors.Is(err, bufio.ErrBufferFull) {
		return errProtocol
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
