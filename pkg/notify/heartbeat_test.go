package notify

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A healthy agent pings, an unhealthy one does not, and each change is logged once.
func TestHeartbeat(t *testing.T) {
	ill := errors.New("journal cannot be written")
	rounds := []struct {
		healthy error
		answer  int32
	}{{nil, 200}, {nil, 200}, {ill, 200}, {ill, 200}, {nil, 503}, {nil, 200}, {nil, 503}, {ill, 503}}
	var answer atomic.Int32
	pings := 0 // written by the server, read after it was closed
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pings++; r.Method != "GET" || r.URL.Path != "/T0PS3CRET" {
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		w.WriteHeader(int(answer.Load()))
	}))
	var log lockedBuffer
	ctx, cancel := context.WithCancel(context.Background())
	h := Heartbeat{URL: srv.URL + "/T0PS3CRET", Every: time.Millisecond, Log: logTo(&log)}
	n := -1
	err := h.Run(ctx, func() error {
		if n++; n == len(rounds) {
			cancel()
			return nil
		}
		answer.Store(rounds[n].answer)
		return rounds[n].healthy
	})
	srv.Close()
	if err != nil || pings != 5 {
		t.Errorf("%d pings, %v", pings, err)
	}
	text := log.String()
	if strings.Count(text, "heartbeats arrive") != 2 || strings.Count(text, "heartbeats stay away") != 2 {
		t.Errorf("log:\n%s", text)
	}
	if !strings.Contains(text, ill.Error()) || !strings.Contains(text, "503") || strings.Contains(text, "T0PS3CRET") {
		t.Errorf("log:\n%s", text)
	}
}

func logTo(w io.Writer) hclog.Logger { return hclog.New(&hclog.LoggerOptions{Output: w}) }

func TestHeartbeatSwitchGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	var log lockedBuffer
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	h := Heartbeat{URL: "http://" + l.Addr().String() + "/T0PS3CRET", Every: time.Millisecond, Log: logTo(&log)}
	if err := h.Run(ctx, func() error {
		if n++; n == 5 {
			cancel()
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if text := log.String(); strings.Count(text, "stay away") != 1 || strings.Contains(text, "T0PS3CRET") {
		t.Errorf("log:\n%s", text)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

var _ io.Writer = (*lockedBuffer)(nil)

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
