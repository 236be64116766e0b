package haproxy

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
)

// Who ends the question is told that, and not how the connection ended because of it.
func TestAskEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stats")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // nobody answers
	over := errors.New("over")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Ask(ctx, path, "show info")
		done <- err
	}()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel(over)
	if err := <-done; !errors.Is(err, over) {
		t.Error(err)
	}
}
