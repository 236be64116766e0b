package rule

import (
	"time"

	"github.com/salveops/salve/pkg/series"
)

// vital follows one unit's way through systemd, for all rules about it.
type vital struct {
	state, uptime *series.Series
	active        float64 // the words of unit.state, as numbers
	activating    float64

	was  phase         // at the last look
	rose time.Duration // when it was seen to become active; 0: never seen
}

type phase uint8

const (
	unseen phase = iota // systemd has not told
	rising
	up
	down
)

// look brings the unit's phase up to date.
func (v *vital) look(now time.Duration) {
	word, _, known := v.state.Last()
	next := down
	switch {
	case !known:
		next = unseen
	case word == v.activating:
		next = rising
	case word == v.active:
		next = up
	}
	if next == up && (v.was == rising || v.was == down) {
		v.rose = now
	}
	v.was = next
}

// starting reports whether the unit is coming up, or is up for less than its startup time.
func (v *vital) starting(now, startup time.Duration) bool {
	v.look(now)
	switch v.was {
	case rising:
		return true
	case up:
		return v.age(now) < startup
	}
	return false
}

// stopped reports whether the unit is known not to run, so that nothing can be measured of it.
func (v *vital) stopped() bool { return v.was == down }

// age is how long the unit has been up: by its uptime as last sampled, or by what was seen since. A
// unit of which nothing was seen and sampled yet counts as old.
func (v *vital) age(now time.Duration) time.Duration {
	if uptime, at, known := v.uptime.Last(); known && at > v.rose {
		return time.Duration(uptime*float64(time.Second)) + now - at
	}
	if v.rose > 0 {
		return now - v.rose
	}
	return 1<<63 - 1
}
