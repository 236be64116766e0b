package haproxy

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
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

// A frontend of the same name, which HAProxy finds first, is not what is asked for.
func TestStatOfABackend(t *testing.T) {
	g := agenttest.HAProxy(t, " server a 127.0.0.1:1\nfrontend both\n bind "+filepath.Join(t.TempDir(), "both")+
		"\n default_backend both\nbackend both\n server b 127.0.0.1:1\nfrontend bare\n bind "+filepath.Join(t.TempDir(), "bare")+
		"\n default_backend bare\nbackend bare")
	for _, c := range []struct {
		backend string
		rows    int
		want    string
	}{
		{"web", 4, "web,a,"}, {"both", 4, "both,b,"}, {"both", 6, "both,BACKEND,"}, {"bare", 4, ""}, {"none", 4, "No such proxy"},
	} {
		raw, err := Stat(t.Context(), g.Stats, c.backend, c.rows)
		if err != nil || !strings.Contains(string(raw), c.want) || strings.Contains(string(raw), "FRONTEND") {
			t.Errorf("%s: %v, %q does not have %q", c.backend, err, raw, c.want)
		}
	}
}
