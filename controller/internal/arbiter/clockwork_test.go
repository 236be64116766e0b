package arbiter

import (
	"math"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/clock"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// moment is so long after the beginning on the monotonic clock, with a wall clock that is so wrong.
func moment(boot, skew time.Duration) clock.Instant {
	return clock.Instant{Boot: boot, Wall: epoch.Add(boot + skew)}
}

func TestStamp(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, test := range []struct {
		name  string
		start time.Duration // of the stamp that the log has, after the epoch; the test begins there at boot 0
		at    clock.Instant
		want  time.Duration // of the stamp, after the epoch
	}{
		{"in step", 0, moment(10*time.Second, 0), 10 * time.Second},
		{"a year ahead", 0, moment(10*time.Second, year), 11 * time.Second},
		{"a year behind", 0, moment(10*time.Second, -year), 9 * time.Second},
		{"nearly in step, ahead", 0, moment(10*time.Second, 200*time.Millisecond), 10*time.Second + 200*time.Millisecond},
		{"nearly in step, behind", 0, moment(10*time.Second, -200*time.Millisecond), 10*time.Second - 200*time.Millisecond},
		{"no time passed", time.Hour, moment(0, 0), time.Hour},
		{"the log is a weekend behind", -48 * time.Hour, moment(time.Hour, 0), -48*time.Hour + 66*time.Minute},
		{"the monotonic clock of another boot", 0, moment(-time.Hour, 0), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c clockwork
			c.follow(epoch.Add(test.start).UnixNano(), moment(0, 0))
			if got := time.Unix(0, c.stamp(test.at)).Sub(epoch); got != test.want {
				t.Errorf("stamp %v after the epoch, want %v", got, test.want)
			}
		})
	}
}

func TestFirstStampIsTheWallClock(t *testing.T) {
	var c clockwork
	if got := c.stamp(moment(0, 0)); got != epoch.UnixNano() {
		t.Errorf("first stamp %d, want %d", got, epoch.UnixNano())
	}
	c = clockwork{}
	if got := c.stamp(clock.Instant{Wall: time.Unix(-5, 0)}); got != 1 {
		t.Errorf("first stamp %d by a clock before 1970, want 1: 0 is no stamp", got)
	}
}

// Log time never goes back, whatever the wall clock does, and never passes faster than a tenth more.
func TestStampsOnlyGrow(t *testing.T) {
	var c clockwork
	c.follow(epoch.UnixNano(), moment(0, 0))
	last, boot := epoch.UnixNano(), time.Duration(0)
	for i, skew := range []time.Duration{0, time.Hour, -time.Hour, 300 * 24 * time.Hour, -time.Second, 0, time.Millisecond} {
		for range 100 {
			boot += time.Duration(1+i) * 7 * time.Millisecond
			at := c.stamp(moment(boot, skew))
			step, passed := at-last, int64(1+i)*int64(7*time.Millisecond)
			if step < passed-passed/slew || step > passed+passed/slew {
				t.Fatalf("log time moved by %v in %v", time.Duration(step), time.Duration(passed))
			}
			last = at
		}
	}
}

// A stamp at the end of time, from a broken leader, stands still: it does not overflow into the past.
func TestStampAtTheEndOfTime(t *testing.T) {
	var c clockwork
	c.follow(math.MaxInt64-5, moment(0, 0))
	if got := c.stamp(moment(time.Hour, 0)); got != math.MaxInt64-5 {
		t.Errorf("stamp %d, want %d", got, int64(math.MaxInt64-5))
	}
}

// What a follower has seen is no reason to run ahead of the leader: each newer stamp counts anew.
func TestFollowTakesTheNewestStamp(t *testing.T) {
	var c clockwork
	at := epoch.UnixNano()
	for i := range 100 { // a leader that is slewed to nine tenths
		c.follow(at+int64(i)*int64(900*time.Millisecond), moment(time.Duration(i)*time.Second, 0))
	}
	got := time.Duration(c.stamp(moment(99*time.Second, -time.Hour)) - at)
	if want := 99 * 900 * time.Millisecond; got != want {
		t.Errorf("after 99 s the follower says %v, want %v", got, want)
	}
	c.follow(at, moment(100*time.Second, 0)) // an old one
	if got := time.Duration(c.stamp(moment(100*time.Second, -time.Hour)) - at); got < 99*900*time.Millisecond {
		t.Errorf("an old stamp turned it back to %v", got)
	}
}

func TestUntilIsNeverTooLong(t *testing.T) {
	var c clockwork
	c.follow(epoch.UnixNano(), moment(0, 0))
	due := epoch.Add(time.Minute).UnixNano()
	fast := moment(0, 24*time.Hour)
	wait := c.until(due, fast)
	if wait <= 0 {
		t.Fatalf("wait %v for what is due in a minute", wait)
	}
	if at := c.stamp(moment(wait, 24*time.Hour)); at > due {
		t.Errorf("after %v it is %v past due", wait, time.Duration(at-due))
	}
	if wait := c.until(due, moment(2*time.Minute, 0)); wait != 0 {
		t.Errorf("wait %v for what is due", wait)
	}
}
