// Package schedule says when something periodic is due. What is due at the same moment costs one
// wake-up of the process together, and on an idle host wake-ups are what costs: a hundred requests a
// second that start at a hundred moments take several times the CPU of the same hundred in two groups.
package schedule

import (
	"hash/fnv"
	"time"
)

// Slot is the distance between the moments at which periodic work may start.
const Slot = 500 * time.Millisecond

// Grid is the moments of one process at which periodic work starts. Phase moves all of them, so
// that the hosts of a fleet do not ask a common server at the same moment. The zero value is ready.
type Grid struct {
	Phase time.Duration // between 0 and Slot
}

// Next is the first moment later than now that belongs to the given period and offset. Moments that
// passed unused are skipped: work that is late never runs twice to catch up.
func (g Grid) Next(now, every, offset time.Duration) time.Duration {
	base := (g.Phase + offset) % every
	if now < base {
		return base
	}
	return base + ((now-base)/every+1)*every
}

// Offset spreads work of one period over its slots by name: the same name, the same offset.
func (g Grid) Offset(name string, every time.Duration) time.Duration {
	slots := uint32(every / Slot)
	if slots <= 1 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return time.Duration(h.Sum32()%slots) * Slot
}
