package controllertest

import (
	"sync"
	"time"

	"github.com/salveops/salve/pkg/clock"
)

// pace is by how much the clocks of a cluster run faster than real ones. Raft's own timers do not: they are
// short.
const pace = 4

// hourglass is the true time of a cluster, from which every machine's clocks are made.
type hourglass struct{ begun time.Time }

// now begins with an hour, as on machines that have been up for that long.
func (h *hourglass) now() time.Duration { return time.Hour + pace*time.Since(h.begun) }

// nodeClock is what a node reads. Its boot time is true; its time of day is what somebody set it to.
type nodeClock struct {
	h    *hourglass
	name string

	mu   sync.Mutex
	skew time.Duration
}

var _ clock.Clock = (*nodeClock)(nil)

// epoch is the time of day at which every cluster begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (c *nodeClock) Now() clock.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.h.now()
	return clock.Instant{Boot: now, Wall: epoch.Add(now + c.skew)}
}

func (c *nodeClock) BootID() string { return "boot of " + c.name }

func (c *nodeClock) set(skew time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew = skew
}
