package host

import (
	"bytes"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/observe/procfile"
	"github.com/salveops/salve/agent/internal/observe/source"
)

// netStat are the columns of /proc/net/dev that matter, as counters.
type netStat struct{ rx, tx, errors, drops uint64 }

// parseNetDev reads one line of /proc/net/dev. It is false for the two header lines as well.
func parseNetDev(line []byte) (name []byte, s netStat, ok bool) {
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return nil, s, false
	}
	name, _ = procfile.Field(line[:i])
	line = line[i+1:]
	// receive: bytes packets errs drop fifo frame compressed multicast; transmit: bytes packets errs drop …
	for i := range 12 {
		v, rest, valid := procfile.Uint(line)
		if !valid {
			return name, s, false
		}
		line = rest
		switch i {
		case 0:
			s.rx = v
		case 8:
			s.tx = v
		case 2, 10:
			s.errors += v
		case 3, 11:
			s.drops += v
		}
	}
	return name, s, len(name) > 0
}

type interfaces struct {
	devices[struct{}]
	file *procfile.File
}

func newInterfaces(o Options, _ []*source.Handle) reader {
	return &interfaces{
		devices: devices[struct{}]{opt: o, family: "host.net", known: map[string]*device[struct{}]{}},
		file:    procfile.New(o.path("proc/net/dev")),
	}
}

// outward reports whether an interface leads out of the host: loopback and the host's ends of
// container links do not.
func outward(name string) bool { return name != "lo" && !strings.HasPrefix(name, "veth") }

func (d *interfaces) read(now time.Duration, b *source.Batch, buf []byte) error {
	text, err := d.file.Read(buf)
	if err != nil {
		return err
	}
	for len(text) > 0 {
		var line []byte
		line, text = procfile.Line(text)
		name, s, ok := parseNetDev(line)
		if !ok {
			continue
		}
		if dev := d.find(name, outward, "rx_bytes", "tx_bytes", "errors", "drops"); dev != nil {
			b.Set(dev.handles[0], now, float64(s.rx))
			b.Set(dev.handles[1], now, float64(s.tx))
			b.Set(dev.handles[2], now, float64(s.errors))
			b.Set(dev.handles[3], now, float64(s.drops))
		}
	}
	d.sweep(now, b)
	return nil
}

func (d *interfaces) close() { d.file.Close() }
