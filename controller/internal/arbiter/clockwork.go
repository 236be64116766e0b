package arbiter

import (
	"math"
	"sync"
	"time"

	"github.com/salveops/salve/pkg/clock"
)

// slew is the part of the time that passes by which log time may be moved towards the wall clock.
const slew = 10 // a tenth

// clockwork makes log time. It goes on from the last stamp by the monotonic clock of whoever leads; the wall
// clock only slews it, so that a leader whose clock is a year ahead ends nothing early. It never goes back.
//
//	stamp = last + elapsed ± at most elapsed/10, towards the wall clock
//
// A follower looks at the stamps that arrive, so that the time in which nobody led is not lost.
type clockwork struct {
	mu   sync.Mutex
	last int64         // newest stamp, nanoseconds since 1970; 0: there is no log yet
	seen time.Duration // CLOCK_BOOTTIME at which it was newest
}

// follow takes over the stamp of another node's entry.
func (c *clockwork) follow(at int64, now clock.Instant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at > c.last {
		c.last, c.seen = at, now.Boot
	}
}

// stamp is the log time of an entry that is proposed now.
func (c *clockwork) stamp(now clock.Instant) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.seen = c.read(now), max(c.seen, now.Boot)
	return c.last
}

// read is the log time at that moment. The first entry of a cluster has nothing to go on from but the wall
// clock.
func (c *clockwork) read(now clock.Instant) int64 {
	wall := now.Wall.UnixNano()
	if c.last == 0 {
		return max(1, wall)
	}
	elapsed := max(0, int64(now.Boot-c.seen))
	at := c.last
	if at > math.MaxInt64-2*elapsed { // a stamp at the end of time: it stands still
		return at
	}
	at += elapsed
	return at + min(max(wall-at, -elapsed/slew), elapsed/slew)
}

// until is how long, at least, until log time gets to due; 0: it is there.
func (c *clockwork) until(due int64, now clock.Instant) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := due - c.read(now)
	if left <= 0 {
		return 0
	}
	return time.Duration(left - left/slew)
}
