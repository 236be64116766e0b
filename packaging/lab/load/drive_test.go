package load

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/logpb"
)

// slow is a caller whose every operation takes as long as it says.
type slow struct {
	each     time.Duration
	done     int
	finished bool
	fail     int // the operation that fails, 0: none
}

var errSlow = errors.New("too slow")

func (s *slow) Next(ctx context.Context) (Op, time.Duration, error) {
	sleep(ctx, s.each)
	if s.done++; s.done == s.fail {
		return Put, 0, errSlow
	}
	return Put, s.each, ctx.Err()
}

func (s *slow) Finish(context.Context) error {
	s.finished = true
	return nil
}

// Operations that end within the time count, those before and after it do not.
func TestDriveCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &slow{each: 10 * time.Millisecond}, &slow{each: 30 * time.Millisecond}
		f, err := Drive(t.Context(), []Caller{a, b}, Plan{Warm: 105 * time.Millisecond, For: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		// From 105 to 205 ms: a ends at 110, 120, …, 200; b at 120, 150, 180.
		if got := f.Took(Put); len(got) != 13 || got.Quantile(0.5) != a.each || got.Max() != b.each || f.Rate(Put) != 130 || f.Done != int64(a.done+b.done) {
			t.Errorf("%d operations, %.0f a second: %v", len(got), f.Rate(Put), got)
		}
		if !a.finished || !b.finished || len(f.Took(Grant)) != 0 {
			t.Error("callers are left in the middle")
		}
	})
}

// One caller's error ends the others, and is the one that is told.
func TestDriveFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := Drive(t.Context(), []Caller{&slow{each: time.Second}, &slow{each: time.Millisecond, fail: 3}}, Plan{For: time.Hour})
		if !errors.Is(err, errSlow) || time.Since(start) > 10*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestDriveEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if _, err := Drive(t.Context(), []Caller{&slow{each: time.Hour}}, Plan{For: time.Second}); err == nil {
			t.Error("a caller that never answers made no error")
		}
	})
}

func TestQuantiles(t *testing.T) {
	var s []time.Duration
	for i := range 200 {
		s = append(s, time.Duration(200-i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 100, 0.99: 198, 0.999: 200, 1: 200} {
		if got := NewSamples(s).Quantile(q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
	if got := Join(Samples{5, 7}, Samples{1, 9}); got.Max() != 9 || got.Quantile(0.5) != 5 {
		t.Errorf("joined: %v", got)
	}
	if Samples(nil).Quantile(0.5) != 0 {
		t.Error("no samples have a median")
	}
}

// Commands have the promised size, whatever their host.
func TestCommandSize(t *testing.T) {
	for _, i := range []int{0, 99, 4999} {
		h := newHost("seed", i)
		text := newTemplate(&h, 200)
		token := &logpb.Token{Generation: derive("", "generation", 0), N: 5000}
		for what, c := range map[string]*logpb.Command{
			"request":    {What: &logpb.Command_Request{Request: text.request(&h, 300, 5000)}},
			"settlement": {What: &logpb.Command_Settle{Settle: text.settle(&h, 300, 300, token, logpb.Settlement_SETTLEMENT_SERVING)}},
		} {
			if got := proto.Size(c); got != 200 {
				t.Errorf("host %d: a %s has %d bytes", i, what, got)
			}
		}
	}
}

// The same seed gives the same hosts, another one others; a pair shares its services and asks for one each.
func TestHosts(t *testing.T) {
	a, b, again, other := newHost("x", 6), newHost("x", 7), newHost("x", 6), newHost("y", 6)
	if a.id != again.id || a.id == b.id || a.id == other.id || a.fingerprint == b.fingerprint || len(a.id) != 32 {
		t.Errorf("IDs %s %s %s %s", a.id, again.id, b.id, other.id)
	}
	if a.service == b.service || a.services[0] != b.services[0] || a.services[1] != b.services[1] ||
		newHost("x", 8).services[0] == a.services[0] {
		t.Errorf("services %v and %v", a, b)
	}
}
