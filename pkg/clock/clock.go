// Package clock carries the two times that Salve works with: a monotonic one that
// windows and deadlines use, and the wall clock that people and schedules use.
package clock

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Instant is one moment on both clocks.
type Instant struct {
	// Boot is CLOCK_BOOTTIME: time since the machine started, suspend included. It never jumps.
	Boot time.Duration
	// Wall is the time of day. It may jump both ways; never subtract two of them.
	Wall time.Time
}

// Add moves both clocks by d.
func (i Instant) Add(d time.Duration) Instant {
	return Instant{Boot: i.Boot + d, Wall: i.Wall.Add(d)}
}

// Sub is the monotonic time from j to i.
func (i Instant) Sub(j Instant) time.Duration { return i.Boot - j.Boot }

// Stamp is an Instant that outlives the process: what is written to disk.
type Stamp struct {
	Boot   time.Duration `json:"boot"`    // CLOCK_BOOTTIME when it happened
	BootID string        `json:"boot_id"` // the boot in which Boot counts
	Wall   time.Time     `json:"wall"`
}

// Age is how long before now the stamp was made. Within one boot the monotonic clock says it. Across
// boots only the wall clock is left; a stamp from the future counts as just made, so that a clock
// that was set back frees no budget.
func (s Stamp) Age(now Stamp) time.Duration {
	if s.BootID == now.BootID {
		return max(0, now.Boot-s.Boot)
	}
	return max(0, now.Wall.Sub(s.Wall))
}

// IsZero reports whether the stamp was never set.
func (s Stamp) IsZero() bool { return s.Wall.IsZero() && s.Boot == 0 }

// Clock tells the time. The only implementation in the product is System; tests bring their own.
type Clock interface {
	Now() Instant
	// BootID names this boot of the machine.
	BootID() string
}

// At is the stamp of i on c's machine.
func At(c Clock, i Instant) Stamp {
	return Stamp{Boot: i.Boot, BootID: c.BootID(), Wall: i.Wall}
}

// Now is the stamp of this moment.
func Now(c Clock) Stamp { return At(c, c.Now()) }

type system struct{ bootID string }

// System reads the kernel's clocks.
func System() (Clock, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, err
	}
	return system{bootID: strings.TrimSpace(string(id))}, nil
}

func (s system) BootID() string { return s.bootID }

func (s system) Now() Instant {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("clock_gettime(CLOCK_BOOTTIME): " + err.Error()) // the kernel has had it since 2.6.39
	}
	return Instant{Boot: time.Duration(ts.Nano()), Wall: Wall()}
}
