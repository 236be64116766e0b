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

func step(a *remedy.CacheArgs) *kind.Step {
	return &kind.Step{Request: kind.Request{Remedy: &config.Remedy{Args: a, Timeout: time.Minute}}}
}

// A key that a cluster is moving is left to its new node; what else is refused ends the sweep.
func TestMovingKeys(t *testing.T) {
	const moving = "-MOVED 7 127.0.0.1:1\r\n-ASK 7 127.0.0.1:1\r\n-TRYAGAIN x\r\n:1\r\n:0\r\n"
	keys := []string{"a", "b", "c", "d", "e"}
	r := pretend(t, "e", moving)
	if n, err := r.remove(t.Context(), keys); err != nil || n != 1 {
		t.Errorf("%d keys, %v", n, err)
	}
	r = pretend(t, "e", strings.Replace(moving, "TRYAGAIN", "MISCONF", 1))
	if n, err := r.remove(t.Context(), keys); err == nil || !strings.Contains(err.Error(), "MISCONF") || n != 1 {
		t.Errorf("%d keys, %v", n, err)
	}
}

// A server that answers with other keys than it was asked for, or never comes to an end, removes nothing and does end.
func TestWrongServer(t *testing.T) {
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	k, s := New(&kind.Host{Clock: c}), step(&remedy.CacheArgs{Prefix: "sess:", Rate: 1000, Most: 10})
	r := pretend(t, "1000", "*2\r\n$1\r\n5\r\n*1\r\n$4\r\ncart\r\n", "*2\r\n$1\r\n0\r\n*0\r\n")
	run := k.begin(s)
	if err := run.ended(run.sweep(t.Context(), r)); err != nil || run.Removed != 0 || run.End != "every key was looked at" {
		t.Errorf("other keys: %+v, %v", run.result, err)
	}
	endless := make([]string, 1000)
	for i := range endless {
		endless[i] = "*2\r\n$1\r\n5\r\n*0\r\n"
	}
	r = pretend(t, "1000", endless...)
	s.Remedy.Timeout = 20 * time.Millisecond
	run = k.begin(s)
	if err := run.ended(run.sweep(t.Context(), r)); err != nil || !strings.Contains(run.End, "time of one run") {
		t.Errorf("endless: %+v, %v", run.result, err)
	}
	halted := make(chan struct{})
	close(halted)
	s.Halt = halted
	run = k.begin(s)
	r = pretend(t, "1000", "*2\r\n$1\r\n0\r\n*1\r\n$6\r\nsess:1\r\n")
	if err := run.ended(run.sweep(t.Context(), r)); !errors.Is(err, kind.ErrHalt) || run.Removed != 0 {
		t.Errorf("halted: %+v, %v", run.result, err)
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
	if _, err := r.remove(t.Context(), []string{"a"}); !errors.Is(err, kind.ErrLost) {
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

// Who is told to stop in a rest takes no further step, however long the rest was to be.
func TestHalt(t *testing.T) {
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	s := step(&remedy.CacheArgs{Rate: 1, Most: 100})
	s.Remedy.Timeout = time.Hour
	halted := make(chan struct{})
	close(halted)
	s.Halt = halted
	run := New(&kind.Host{Clock: c}).begin(s)
	if err := run.next(t.Context(), 60); !errors.Is(err, kind.ErrHalt) || run.Removed != 60 {
		t.Errorf("%v, %+v", err, run.result)
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
		took time.Duration
		keys int
		rate int
		want time.Duration
	}{
		{0, 100, 1000, 100 * time.Millisecond},
		{20 * time.Millisecond, 100, 1000, 80 * time.Millisecond},
		{70 * time.Millisecond, 100, 1000, 70 * time.Millisecond},
		{2 * time.Second, 100, 1000, 2 * time.Second},
		{3 * time.Millisecond, 0, 1000, 3 * time.Millisecond},
	} {
		r := run{CacheArgs: &remedy.CacheArgs{Rate: tt.rate}, clock: k.Clock, start: 10*time.Second - tt.took}
		if got := r.pause(tt.keys); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}
