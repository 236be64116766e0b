// Package psi reads the kernel's pressure stall information: for how much of the time tasks waited
// for a CPU, for memory or for disks.
package psi

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/procfile"
)

// Total is the stall time since boot, in microseconds.
type Total struct {
	Some    uint64 // some task waited
	Full    uint64 // all tasks waited
	HasFull bool   // older kernels don't tell Full for the CPU
}

// Parse reads a pressure file. It is false when the "some" line is missing or broken.
func Parse(b []byte) (t Total, ok bool) {
	for len(b) > 0 {
		var line, kind []byte
		line, b = procfile.Line(b)
		kind, line = procfile.Field(line)
		i := bytes.LastIndex(line, total)
		if i < 0 {
			continue
		}
		v, valid := procfile.ParseUint(bytes.TrimRight(line[i+len(total):], " \t\r"))
		switch {
		case !valid:
			return Total{}, false
		case string(kind) == "some":
			t.Some, ok = v, true
		case string(kind) == "full":
			t.Full, t.HasFull = v, true
		}
	}
	return t, ok
}

var total = []byte("total=")

// least is the shortest time over which a share is told: over less it would be mostly noise.
const least = 20 * time.Millisecond

// Gauge turns the totals of one pressure file into shares of the time between two readings.
type Gauge struct {
	file *procfile.File
	last Total
	at   time.Duration
	seen bool
}

// NewGauge reads the pressure file at path.
func NewGauge(path string) *Gauge { return &Gauge{file: procfile.New(path)} }

// Share is the stalled share of the time since the last reading.
type Share struct {
	Some, Full float64
	HasFull    bool
	// Known is false at the first reading, and when too little time has passed since the last one.
	Known bool
	// Early is true when too little time has passed: there is nothing to tell.
	Early bool
}

// Read takes a reading at now. buf is room for the file's text.
func (g *Gauge) Read(now time.Duration, buf []byte) (Share, error) {
	if g.seen && now-g.at < least {
		return Share{Early: true}, nil
	}
	text, err := g.file.Read(buf)
	if err != nil {
		g.seen = false
		return Share{}, err
	}
	t, ok := Parse(text)
	if !ok {
		g.seen = false
		return Share{}, unix.EINVAL
	}
	last, span, seen := g.last, now-g.at, g.seen
	g.last, g.at, g.seen = t, now, true
	if !seen || t.Some < last.Some || t.Full < last.Full {
		return Share{}, nil
	}
	s := Share{Known: true, HasFull: t.HasFull}
	s.Some = share(t.Some-last.Some, span)
	s.Full = share(t.Full-last.Full, span)
	return s, nil
}

// Close closes the file.
func (g *Gauge) Close() {
	g.file.Close()
	g.seen = false
}

func share(stalled uint64, span time.Duration) float64 {
	return min(1, float64(stalled)*1e3/float64(span))
}
