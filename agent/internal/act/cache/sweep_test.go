package cache

import (
	"bufio"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/redis"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/remedy"
)

// pretend is a server that answers the questions that come, one after the other; a question ends with the text.
func pretend(t *testing.T, end string, answers ...string) *remote {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		in := bufio.NewScanner(c)
		for _, a := range answers {
			for in.Scan() && in.Text() != end {
			}
			_, _ = io.WriteString(c, a)
		}
		_, _ = io.Copy(io.Discard, c)
	}()
	r, err := open(t.Context(), redis.Target{Address: "unix:" + path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		_ = l.Close()
		<-done
	})
	return r
}

// A key that a cluster is moving is left to its new node; what else is refused ends the sweep.
func TestMovingKeys(t *testing.T) {
	const moving = "-MOVED 7 127.0.0.1:1\r\n-ASK 7 127.0.0.1:1\r\n-TRYAGAIN x\r\n:1\r\n:0\r\n"
	keys := []string{"a", "b", "c", "d", "e"}
	r := pretend(t, "e", moving)
	if err := r.remove(t.Context(), keys); err != nil || r.removed != 1 {
		t.Errorf("%d keys, %v", r.removed, err)
	}
	r = pretend(t, "e", strings.Replace(moving, "TRYAGAIN", "MISCONF", 1))
	if err := r.remove(t.Context(), keys); err == nil || !strings.Contains(err.Error(), "MISCONF") || r.removed != 1 {
		t.Errorf("%d keys, %v", r.removed, err)
	}
}

// A server that answers with other keys than it was asked for, or never comes to an end, removes nothing and does end.
func TestWrongServer(t *testing.T) {
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	k := New(&kind.Host{Clock: c})
	step := func(timeout time.Duration) *kind.Step {
		s := &kind.Step{}
		s.Remedy = &config.Remedy{Timeout: timeout, Args: &remedy.CacheArgs{Prefix: "sess:", Rate: 1000, Most: 10}}
		return s
	}
	r := pretend(t, "1000", "*2\r\n$1\r\n5\r\n*1\r\n$4\r\ncart\r\n", "*2\r\n$1\r\n0\r\n*0\r\n")
	if err := k.sweep(t.Context(), r, step(time.Minute)); err != nil || r.removed != 0 || r.end != "every key was looked at" {
		t.Errorf("other keys: %d removed, %q, %v", r.removed, r.end, err)
	}
	endless := make([]string, 1000)
	for i := range endless {
		endless[i] = "*2\r\n$1\r\n5\r\n*0\r\n"
	}
	r = pretend(t, "1000", endless...)
	if err := k.sweep(t.Context(), r, step(20*time.Millisecond)); err != nil || !strings.Contains(r.end, "time of one run") {
		t.Errorf("endless: %q, %v", r.end, err)
	}
	halted, s := make(chan struct{}), step(time.Minute)
	close(halted)
	s.Halt = halted
	r = pretend(t, "1000", "*2\r\n$1\r\n0\r\n*1\r\n$6\r\nsess:1\r\n")
	if err := k.sweep(t.Context(), r, s); err == nil || !strings.Contains(err.Error(), "told to stop") || r.removed != 0 {
		t.Errorf("halted: %d removed, %v", r.removed, err)
	}
	for _, answer := range []string{"+OK\r\n", "*2\r\n*0\r\n*0\r\n", "*0\r\n", "$-1\r\n"} {
		if _, _, err := pretend(t, "1000", answer).scan(t.Context(), "0", ""); err == nil {
			t.Errorf("%q is taken for keys", answer)
		}
	}
}

// A step whose answer is lost may have removed keys, or emptied the database; a look at the keys removes none.
func TestLostAnswers(t *testing.T) {
	r := pretend(t, "a", "")
	r.Close()
	if err := r.remove(t.Context(), []string{"a"}); !errors.Is(err, kind.ErrLost) {
		t.Errorf("keys: %v", err)
	}
	r = pretend(t, "ASYNC", "")
	r.Close()
	if err := r.flush(t.Context()); !errors.Is(err, kind.ErrLost) {
		t.Errorf("all at once: %v", err)
	}
	r = pretend(t, "1000", "")
	r.Close()
	if _, _, err := r.scan(t.Context(), "0", ""); err == nil || errors.Is(err, kind.ErrLost) {
		t.Errorf("a look: %v", err)
	}
}

// stood is a clock that stands still.
type stood struct {
	clock.Clock
	boot time.Duration
}

func (s stood) Now() clock.Instant { return clock.Instant{Boot: s.boot} }

// cold-cache: a server that is slow gets as long a rest as the step took, whatever the rate allows.
func TestPause(t *testing.T) {
	k := New(&kind.Host{Clock: stood{boot: 10 * time.Second}})
	for _, tt := range []struct {
		took       time.Duration
		keys, rate int
		want       time.Duration
	}{
		{0, 100, 1000, 100 * time.Millisecond},
		{20 * time.Millisecond, 100, 1000, 80 * time.Millisecond},
		{70 * time.Millisecond, 100, 1000, 70 * time.Millisecond},
		{2 * time.Second, 100, 1000, 2 * time.Second},
		{3 * time.Millisecond, 0, 1000, 3 * time.Millisecond},
	} {
		if got := k.pause(10*time.Second-tt.took, tt.keys, tt.rate); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}
