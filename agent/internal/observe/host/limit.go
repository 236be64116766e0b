package host

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/procfile"
	"github.com/salveops/salve/agent/internal/observe/source"
)

// parseColumn finds a named number in /proc/net/snmp and netstat: two lines begin with the same
// prefix, the first has the names of the columns, the second the values.
func parseColumn(b []byte, prefix, name string) (uint64, bool) {
	var names []byte
	for len(b) > 0 {
		var line []byte
		line, b = procfile.Line(b)
		if head, rest := procfile.Field(line); string(head) != prefix {
			continue
		} else if names == nil {
			names = rest
			continue
		} else {
			return columnValue(names, rest, name)
		}
	}
	return 0, false
}

func columnValue(names, values []byte, name string) (uint64, bool) {
	for {
		var n, v []byte
		n, names = procfile.Field(names)
		v, values = procfile.Field(values)
		if len(n) == 0 || len(v) == 0 {
			return 0, false
		}
		if string(n) == name {
			return procfile.ParseUint(v)
		}
	}
}

// tcp reads counters of the network stack.
type tcp struct {
	file    *procfile.File
	prefix  string
	names   []string
	handles []*source.Handle
}

func newTCP(file, prefix string, names ...string) func(Options, []*source.Handle) reader {
	return func(o Options, h []*source.Handle) reader {
		return &tcp{file: procfile.New(o.path("proc/net/" + file)), prefix: prefix, names: names, handles: h}
	}
}

func (t *tcp) read(now time.Duration, b *source.Batch, buf []byte) error {
	text, err := t.file.Read(buf)
	if err != nil {
		return err
	}
	for i, name := range t.names {
		v, ok := parseColumn(text, t.prefix, name)
		if !ok {
			return unix.EINVAL
		}
		b.Set(t.handles[i], now, float64(v))
	}
	return nil
}

func (t *tcp) close() { t.file.Close() }

// quota is a count and the limit that it has.
type quota struct {
	count, limit *procfile.File
	parse        func([]byte) (uint64, bool)
	nth          int // number of the limit in its file, from 0
	handle       *source.Handle
}

// newTCPLimit reads a number of the sockets of TCP, and its limit.
func newTCPLimit(name, limit string, nth int) func(Options, []*source.Handle) reader {
	return func(o Options, h []*source.Handle) reader {
		return &quota{
			count:  procfile.New(o.path("proc/net/sockstat")),
			limit:  procfile.New(o.path("proc/sys/net/ipv4/" + limit)),
			parse:  func(b []byte) (uint64, bool) { return parseSockets(b, name) },
			nth:    nth,
			handle: h[0],
		}
	}
}

// parseSockets finds a number of TCP in /proc/net/sockstat: "TCP: inuse 1 orphan 8 tw 662 alloc 59 mem 102".
func parseSockets(b []byte, name string) (uint64, bool) {
	for len(b) > 0 {
		var line []byte
		line, b = procfile.Line(b)
		protocol, rest := procfile.Field(line)
		if string(protocol) != "TCP:" {
			continue
		}
		for len(rest) > 0 {
			var key []byte
			if key, rest = procfile.Field(rest); string(key) == name {
				return first(rest)
			}
		}
	}
	return 0, false
}

func newConntrack(o Options, h []*source.Handle) reader {
	return &quota{
		count:  procfile.New(o.path("proc/sys/net/netfilter/nf_conntrack_count")),
		limit:  procfile.New(o.path("proc/sys/net/netfilter/nf_conntrack_max")),
		parse:  first,
		handle: h[0],
	}
}

func newPIDs(o Options, h []*source.Handle) reader {
	return &quota{
		count:  procfile.New(o.path("proc/loadavg")),
		limit:  procfile.New(o.path("proc/sys/kernel/pid_max")),
		parse:  parseTasks,
		handle: h[0],
	}
}

func first(b []byte) (uint64, bool) {
	v, _, ok := procfile.Uint(b)
	return v, ok
}

// parseTasks reads how many tasks there are from /proc/loadavg: "0.00 0.17 0.17 1/95 11881".
func parseTasks(b []byte) (uint64, bool) {
	word, _ := procfile.Field(procfile.Skip(b, 3))
	i := bytes.IndexByte(word, '/')
	if i < 0 {
		return 0, false
	}
	return procfile.ParseUint(word[i+1:])
}

func (q *quota) read(now time.Duration, b *source.Batch, buf []byte) error {
	text, err := q.count.Read(buf)
	if err != nil {
		return err
	}
	n, ok := q.parse(text)
	if text, err = q.limit.Read(buf); err != nil {
		return err
	}
	limit, valid := first(procfile.Skip(text, q.nth))
	if !ok || !valid || limit == 0 {
		return unix.EINVAL
	}
	b.Set(q.handle, now, clamp(float64(n)/float64(limit)))
	return nil
}

func (q *quota) close() {
	q.count.Close()
	q.limit.Close()
}

// openFiles reads /proc/sys/fs/file-nr: allocated, free, limit.
type openFiles struct {
	file   *procfile.File
	handle *source.Handle
}

func newOpenFiles(o Options, h []*source.Handle) reader {
	return &openFiles{file: procfile.New(o.path("proc/sys/fs/file-nr")), handle: h[0]}
}

func (f *openFiles) read(now time.Duration, b *source.Batch, buf []byte) error {
	text, err := f.file.Read(buf)
	if err != nil {
		return err
	}
	ratio, ok := parseFileNr(text)
	if !ok {
		return unix.EINVAL
	}
	b.Set(f.handle, now, ratio)
	return nil
}

func parseFileNr(b []byte) (ratio float64, ok bool) {
	used, b, ok := procfile.Uint(b)
	limit, _, valid := procfile.Uint(procfile.Skip(b, 1))
	if !ok || !valid || limit == 0 {
		return 0, false
	}
	return clamp(float64(used) / float64(limit)), true
}

func (f *openFiles) close() { f.file.Close() }

// offset asks the kernel how far the clock is from what the time service steers it to, and whether one does.
type offset struct{ offset, synchronised *source.Handle }

func newOffset(_ Options, h []*source.Handle) reader {
	return &offset{offset: h[0], synchronised: h[1]}
}

func (c *offset) read(now time.Duration, b *source.Batch, _ []byte) error {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return err
	}
	unit := 1e-6
	if t.Status&unix.STA_NANO != 0 {
		unit = 1e-9
	}
	synchronised := t.Status&unix.STA_UNSYNC == 0
	b.Maybe(c.offset, now, float64(t.Offset)*unit, synchronised)
	b.Set(c.synchronised, now, truth(synchronised))
	return nil
}

func (c *offset) close() {}
