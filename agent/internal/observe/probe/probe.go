// Package probe asks services from outside whether they work: over HTTP, by a TCP connection, or with
// a program. One goroutine keeps the schedule of all probes; another runs only while a question is
// open.
package probe

import (
	"context"
	"slices"
	"time"
)

// Target is one probe of one service. Exactly one of HTTP, TCP and Exec is set.
type Target struct {
	Service string
	Name    string
	HTTP    string        // URL
	Status  []int         // status codes that are good; none: 200 to 299
	Body    string        // if set, must occur in the first 64 KiB of the answer
	TCP     string        // host:port or unix:/path
	Exec    []string      // a program and its arguments; exit code 0 is good
	Every   time.Duration // 0 means 1 s
	Timeout time.Duration // of one attempt; 0 means 500 ms
	Misses  int           // misses before ok turns false; 0 means 3
	Startup time.Duration // how long a kick lasts at most; 0 means 30 s
}

// Defaults of a Target.
const (
	defaultEvery   = time.Second
	defaultTimeout = 500 * time.Millisecond
	defaultMisses  = 3
	defaultStartup = 30 * time.Second
	leastEvery     = 50 * time.Millisecond
)

func (t Target) normal() Target {
	if t.Every == 0 {
		t.Every = defaultEvery
	}
	t.Every = max(t.Every, leastEvery)
	if t.Timeout <= 0 {
		t.Timeout = defaultTimeout
	}
	if t.Misses <= 0 {
		t.Misses = defaultMisses
	}
	if t.Startup <= 0 {
		t.Startup = defaultStartup
	}
	return t
}

func (t Target) id() string { return t.Service + "\x00" + t.Name }

func (t Target) equal(o Target) bool {
	return t.Service == o.Service && t.Name == o.Name && t.HTTP == o.HTTP && slices.Equal(t.Status, o.Status) &&
		t.Body == o.Body && t.TCP == o.TCP && slices.Equal(t.Exec, o.Exec) && t.Every == o.Every &&
		t.Timeout == o.Timeout && t.Misses == o.Misses && t.Startup == o.Startup
}

// ExecFunc runs a probe's program and returns its exit code. It returns an error if the program could
// not be run, is not allowed, or did not end before ctx did.
type ExecFunc func(ctx context.Context, argv []string) (code int, err error)

// answer is what an attempt gave.
type answer struct {
	err       error         // why it was a miss; nil: it was good
	answered  bool          // there was a whole answer, good or bad
	latency   time.Duration // until then
	status    int           // HTTP status or exit code
	hasStatus bool
}

// asker asks one target. ask may run more than once at a time. close ends what is still running.
type asker interface {
	ask(fresh bool) answer
	close()
}

// newAsker makes the asker of a target. It fails for a target that says nothing that can be asked.
func newAsker(t Target, run ExecFunc) (asker, error) {
	switch {
	case t.HTTP != "":
		return newHTTP(t)
	case t.TCP != "":
		return newTCP(t), nil
	}
	return newExec(t, run), nil
}
