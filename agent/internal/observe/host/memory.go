package host

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/procfile"
	"github.com/salveops/salve/agent/internal/observe/source"
)

// memInfo is in KiB.
type memInfo struct{ total, available, swapTotal, swapFree uint64 }

// parseMemInfo reads /proc/meminfo in one pass; its lines stand in this order.
func parseMemInfo(b []byte) (m memInfo, ok bool) {
	var found int
	for len(b) > 0 && found < 4 {
		line, rest := procfile.Line(b)
		b = rest
		key, value := procfile.Field(line)
		var into *uint64
		switch string(key) {
		case "MemTotal:":
			into = &m.total
		case "MemAvailable:":
			into = &m.available
		case "SwapTotal:":
			into = &m.swapTotal
		case "SwapFree:":
			into = &m.swapFree
		default:
			continue
		}
		v, _, valid := procfile.Uint(value)
		if !valid {
			return m, false
		}
		*into = v
		found++
	}
	return m, found == 4 && m.total > 0 && m.swapFree <= m.swapTotal
}

type memory struct {
	file                   *procfile.File
	ratio, available, swap *source.Handle
}

func newMemory(o Options, h []*source.Handle) reader {
	return &memory{file: procfile.New(o.path("proc/meminfo")), ratio: h[0], available: h[1], swap: h[2]}
}

func (m *memory) read(now time.Duration, b *source.Batch, buf []byte) error {
	text, err := m.file.Read(buf)
	if err != nil {
		return err
	}
	info, ok := parseMemInfo(text)
	if !ok {
		return unix.EINVAL
	}
	b.Set(m.ratio, now, clamp(float64(info.available)/float64(info.total)))
	b.Set(m.available, now, float64(info.available)*1024)
	swap := 0.0
	if info.swapTotal > 0 {
		swap = float64(info.swapTotal-info.swapFree) / float64(info.swapTotal)
	}
	b.Set(m.swap, now, swap)
	return nil
}

func (m *memory) close() { m.file.Close() }

// oom counts what the kernel killed, from /proc/vmstat.
type oom struct {
	file  *procfile.File
	kills *source.Handle
}

func newOOM(o Options, h []*source.Handle) reader {
	return &oom{file: procfile.New(o.path("proc/vmstat")), kills: h[0]}
}

func (m *oom) read(now time.Duration, b *source.Batch, buf []byte) error {
	text, err := m.file.Read(buf)
	if err != nil {
		return err
	}
	n, ok := procfile.Value(text, "oom_kill")
	b.Maybe(m.kills, now, float64(n), ok) // kernels before 4.13 do not count them
	return nil
}

func (m *oom) close() { m.file.Close() }
