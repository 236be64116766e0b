package redis

import (
	"bufio"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/transport"
)

func parse(text string) (Value, error) { return read(bufio.NewReader(strings.NewReader(text)), 0) }

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		wire string
		want Value
	}{
		{"+OK\r\n", Value{Text: "OK"}},
		{":42\r\n", Value{Text: "42"}},
		{"$0\r\n\r\n", Value{}},
		{"$-1\r\n", Value{}},
		{"*-1\r\n", Value{}},
		{"$4\r\na\r\nb\r\n", Value{Text: "a\r\nb"}},
		{"-READONLY You can't\r\n", Value{Err: "READONLY You can't"}},
		{"*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n", Value{List: []Value{{Text: "0"}, {List: []Value{{Text: "a"}, {Text: "b"}}}}}},
		{"*1\r\n-ERR no\r\n", Value{List: []Value{{Err: "ERR no"}}}},
	} {
		if got, err := parse(tt.wire); err != nil || !cmp.Equal(got, tt.want) {
			t.Errorf("%q: %+v, %v", tt.wire, got, err)
		}
	}
}

func TestReadNonsense(t *testing.T) {
	for _, wire := range []string{
		"", "+", "+OK", "+OK\n", "-\r\n", "\r\n", "$\r\n", "$-2\r\n", "$x\r\n", "$3\r\nabcd\r\n", "$3\r\nab", "*2\r\n+a\r\n", "!3\r\n",
		strings.Repeat("*1\r\n", deepest+1) + "+a\r\n", "+" + strings.Repeat("x", 5000) + "\r\n", "$99999999999999999999\r\n",
	} {
		if got, err := parse(wire); err == nil {
			t.Errorf("%.30q: %+v", wire, got)
		}
	}
	if _, err := parse("$5000000\r\n"); !errors.Is(err, transport.ErrTooMuch) {
		t.Errorf("a text of 5 MB: %v", err)
	}
}

func TestAppend(t *testing.T) {
	if got := string(Append(nil, "SET", "a\r\nb", "")); got != "*3\r\n$3\r\nSET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n" {
		t.Errorf("%q", got)
	}
}

// FuzzRead: whatever the other side says, it is an answer or an error, and takes no more memory than it has bytes.
func FuzzRead(f *testing.F) {
	for _, text := range []string{"+OK\r\n", "*2\r\n$1\r\n0\r\n*1\r\n$3\r\nkey\r\n", "-ERR no\r\n", "$-1\r\n", "*2000000000\r\n", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parse(text)
		if n := weight(v); err == nil && n > len(text) {
			t.Errorf("%q became %d bytes", text, n)
		}
	})
}

func weight(v Value) int {
	n := len(v.Text) + len(v.Err)
	for _, one := range v.List {
		n += 1 + weight(one)
	}
	return n
}
