package host

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/procfile"
	"github.com/salveops/salve/agent/internal/observe/source"
)

// blockStat are the columns of /proc/diskstats that matter.
type blockStat struct {
	requests  uint64 // completed reads and writes
	waited    uint64 // milliseconds that they took together
	busy      uint64 // milliseconds in which there was work
	at        time.Duration
	seenTwice bool
}

// parseDiskStat reads one line of /proc/diskstats.
func parseDiskStat(line []byte) (name []byte, s blockStat, ok bool) {
	name, line = procfile.Field(procfile.Skip(line, 2))
	// reads merged sectors ms writes merged sectors ms in-flight busy-ms …
	for i := range 10 {
		v, rest, valid := procfile.Uint(line)
		if !valid {
			return name, s, false
		}
		line = rest
		switch i {
		case 0, 4:
			s.requests += v
		case 3, 7:
			s.waited += v
		case 9:
			s.busy = v
		}
	}
	return name, s, len(name) > 0
}

type blockDevices struct {
	devices[blockStat]
	file *procfile.File
}

func newBlockDevices(o Options, _ []*source.Handle) reader {
	return &blockDevices{
		devices: devices[blockStat]{opt: o, family: "host.io", known: map[string]*device[blockStat]{}},
		file:    procfile.New(o.path("proc/diskstats")),
	}
}

// whole reports whether a block device is a whole one, not a partition, and has real storage.
func (d *blockDevices) whole(name string) bool {
	if strings.HasPrefix(name, "loop") || strings.HasPrefix(name, "ram") {
		return false
	}
	_, err := os.Stat(d.opt.path("sys/block/" + strings.ReplaceAll(name, "/", "!")))
	return err == nil
}

func (d *blockDevices) read(now time.Duration, b *source.Batch, buf []byte) error {
	text, err := d.file.Read(buf)
	if err != nil {
		return err
	}
	for len(text) > 0 {
		var line []byte
		line, text = procfile.Line(text)
		name, s, ok := parseDiskStat(line)
		if !ok {
			return unix.EINVAL
		}
		if dev := d.find(name, d.whole, "busy", "latency"); dev != nil {
			dev.data = s.sample(dev.data, now, dev.handles, b)
		}
	}
	d.sweep(now, b)
	return nil
}

// sample adds what changed since the last reading, and returns what the next one compares with.
func (s blockStat) sample(last blockStat, now time.Duration, h []*source.Handle, b *source.Batch) blockStat {
	s.at, s.seenTwice = now, true
	known := last.seenTwice && now > last.at && s.requests >= last.requests
	b.Maybe(h[0], now, clamp(grown(s.busy, last.busy)*1e6/float64(now-last.at)), known)
	latency := 0.0
	if n := grown(s.requests, last.requests); n > 0 {
		latency = grown(s.waited, last.waited) / n / 1e3
	}
	b.Maybe(h[1], now, latency, known)
	return s
}

func (d *blockDevices) close() { d.file.Close() }
