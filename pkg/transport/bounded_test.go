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
		b := Bound(near, 5)
		got, err := io.ReadAll(b)
		if !errors.Is(err, tc.want) || !strings.HasPrefix(tc.send, string(got)) || len(got) != min(len(tc.send), 5) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		_ = near.Close()
	}
}

// A connection has a reader in the background that does not stop between two answers.
func TestBoundedAnew(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	const plenty = 1 << 20
	b := Bound(here, plenty)
	got := make(chan error, 1)
	go func() {
		var err error
		for p := make([]byte, 10); err == nil; {
			_, err = b.Read(p)
		}
		got <- err
		here.Close()
	}()
	for range 100 {
		b.Allow(plenty)
		if _, err := there.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
	}
	b.Allow(4)
	if _, err := there.Write(make([]byte, 100)); err == nil {
		t.Error("a hundred bytes were taken where four may come")
	}
	if err := <-got; !errors.Is(err, ErrTooMuch) {
		t.Errorf("after too much: %v", err)
	}
}
