package host

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/procfile"
	"github.com/salveops/salve/agent/internal/observe/source"
)

// cpuTimes are clock ticks since boot, over all CPUs.
type cpuTimes struct {
	total, idle, iowait, steal uint64
	cpus                       int // how many are online
}

// parseStat reads the CPU lines at the head of /proc/stat.
func parseStat(b []byte) (t cpuTimes, ok bool) {
	line, rest := procfile.Line(b)
	name, line := procfile.Field(line)
	if string(name) != "cpu" {
		return t, false
	}
	// user nice system idle iowait irq softirq steal; guest times are part of user and nice
	for i := range 8 {
		v, more, ok := procfile.Uint(line)
		if !ok {
			return t, false
		}
		line = more
		t.total += v
		switch i {
		case 3:
			t.idle = v
		case 4:
			t.iowait = v
		case 7:
			t.steal = v
		}
	}
	for ; bytes.HasPrefix(rest, cpuPrefix); t.cpus++ {
		_, rest = procfile.Line(rest)
	}
	return t, t.cpus > 0
}

var cpuPrefix = []byte("cpu")

// cpu reads /proc/stat and /proc/loadavg.
type cpu struct {
	stat, load                   *procfile.File
	busy, iowait, steal, perLoad *source.Handle
	last                         cpuTimes
}

func newCPU(o Options, h []*source.Handle) reader {
	return &cpu{
		stat: procfile.New(o.path("proc/stat")), load: procfile.New(o.path("proc/loadavg")),
		busy: h[0], iowait: h[1], steal: h[2], perLoad: h[3],
	}
}

func (c *cpu) read(now time.Duration, b *source.Batch, buf []byte) error {
	text, err := c.stat.Read(buf)
	if err != nil {
		c.last = cpuTimes{}
		return err
	}
	t, ok := parseStat(text)
	if !ok {
		c.last = cpuTimes{}
		return unix.EINVAL
	}
	last := c.last
	c.last = t
	// Known from the second reading on, and not over a moment in which no tick passed.
	known := last.total != 0 && t.total > last.total
	total := float64(t.total - last.total)
	idle, iowait, steal := grown(t.idle, last.idle), grown(t.iowait, last.iowait), grown(t.steal, last.steal)
	b.Maybe(c.busy, now, clamp(1-(idle+iowait+steal)/total), known)
	b.Maybe(c.iowait, now, clamp(iowait/total), known)
	b.Maybe(c.steal, now, clamp(steal/total), known)

	if text, err = c.load.Read(buf); err != nil {
		return err
	}
	load, _, ok := procfile.Fixed(text)
	b.Maybe(c.perLoad, now, load/float64(t.cpus), ok)
	return nil
}

func (c *cpu) close() {
	c.stat.Close()
	c.load.Close()
}

// grown is by how much a counter grew; 0 when it went back, as idle times do on some kernels.
func grown(now, before uint64) float64 {
	if now < before {
		return 0
	}
	return float64(now - before)
}

func clamp(v float64) float64 { return min(1, max(0, v)) }
