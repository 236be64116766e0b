package unit

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/procfile"
	"github.com/salveops/salve/agent/internal/observe/source"
)

// cpuStat is what a cpu.stat file of either version tells.
type cpuStat struct {
	usage              uint64 // microseconds since the group was made; version 2 only
	periods, throttled uint64 // periods of the quota, and those in which it held the unit back
	hasUsage, hasQuota bool
}

func parseCPUStat(b []byte) cpuStat {
	var s cpuStat
	for len(b) > 0 {
		var line, key []byte
		line, b = procfile.Line(b)
		key, line = procfile.Field(line)
		switch string(key) {
		case "usage_usec":
			s.usage, _, s.hasUsage = procfile.Uint(line)
		case "nr_periods":
			s.periods, _, s.hasQuota = procfile.Uint(line)
		case "nr_throttled":
			s.throttled, _, _ = procfile.Uint(line)
		}
	}
	return s
}

// cpu reads the CPU time from the first of these that the host has: the version 2 group, the
// version 1 controller cpuacct, the unit's processes.
type cpu struct {
	stat    *procfile.File // version 2 cpu.stat
	account *procfile.File // version 1 cpuacct.usage
	procs   *processes
	limits  *procfile.File // version 1 cpu.stat: throttling only

	use, throttled *source.Handle // nil: not needed
	at             time.Duration
	last           cpuStat
	seen           bool
}

func (c *cpu) read(now time.Duration, b *source.Batch, buf []byte) error {
	s, err := c.figures(now, buf)
	if err != nil {
		c.seen = false
		return err
	}
	last, span, seen := c.last, now-c.at, c.seen && now > c.at
	c.last, c.at, c.seen = s, now, true
	if c.use != nil {
		known := seen && s.usage >= last.usage
		b.Maybe(c.use, now, float64(s.usage-last.usage)*1e3/float64(span), known)
	}
	if c.throttled != nil {
		share, known := s.held(last)
		b.Maybe(c.throttled, now, share, seen && known)
	}
	return nil
}

// held is the share of the periods since last in which the quota held the unit back. Without a
// controller of its own a unit has no quota, and without a quota there are no periods: then it was
// not held back, which is a fact and not a missing figure.
func (s cpuStat) held(last cpuStat) (share float64, known bool) {
	if s.periods < last.periods || s.throttled < last.throttled {
		return 0, false
	}
	if s.periods == last.periods {
		return 0, true
	}
	return min(1, float64(s.throttled-last.throttled)/float64(s.periods-last.periods)), true
}

// figures reads the usage from where it is, and the throttling of version 1 beside it.
func (c *cpu) figures(now time.Duration, buf []byte) (cpuStat, error) {
	var s cpuStat
	switch {
	case c.stat != nil:
		text, err := c.stat.Read(buf)
		if err != nil {
			return s, err
		}
		if s = parseCPUStat(text); !s.hasUsage {
			return s, unix.EINVAL
		}
	case c.account != nil:
		text, err := c.account.Read(buf)
		if err != nil {
			return s, err
		}
		ns, _, ok := procfile.Uint(text)
		if !ok {
			return s, unix.EINVAL
		}
		s.usage = ns / 1000
	default:
		ticks, err := c.procs.ticks(now, buf)
		if err != nil {
			return s, err
		}
		s.usage = ticks * tick
	}
	if c.limits != nil {
		text, err := c.limits.Read(buf)
		if err != nil {
			return s, err
		}
		quota := parseCPUStat(text)
		s.periods, s.throttled = quota.periods, quota.throttled
	}
	return s, nil
}

// tick is the unit of CPU times in /proc/PID/stat, in microseconds: the kernel shows hundredths of
// seconds to programs on all of its platforms that Go knows.
const tick = 10_000

func (c *cpu) signals() []*source.Handle { return compact(c.use, c.throttled) }

func (c *cpu) close() {
	closeAll(c.stat, c.account, c.limits)
	c.procs.close()
}

// compact drops handles of signals that are not needed.
func compact(handles ...*source.Handle) []*source.Handle {
	var kept []*source.Handle
	for _, h := range handles {
		if h != nil {
			kept = append(kept, h)
		}
	}
	return kept
}

func closeAll(files ...*procfile.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}
