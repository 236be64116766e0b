package transport

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

func TestBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		send string
		want error
	}{
		"less":    {"123", nil},
		"as much": {"12345", ErrTooMuch}, // whether more comes is not waited for
		"more":    {"123456", ErrTooMuch},
	} {
		near, far := net.Pipe()
		go func() {
			_, _ = io.WriteString(far, tc.send)
			_ = far.Close()
		}()
		b := &Bounded{Conn: near, Left: 5}
		got, err := io.ReadAll(b)
		if !errors.Is(err, tc.want) || !strings.HasPrefix(tc.send, string(got)) || len(got) != min(len(tc.send), 5) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		_ = near.Close()
	}
}
