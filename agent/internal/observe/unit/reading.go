package unit

import (
	"bytes"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/procfile"
)

// resident is the memory of all processes. Pages that they share count once for each.
func (p *processes) resident(now time.Duration, buf []byte) (uint64, error) {
	if err := p.refresh(now, buf); err != nil {
		return 0, err
	}
	var pages uint64
	alive := 0
	for i, proc := range p.list {
		text, err := proc.statm.Read(buf)
		if i >= mostKept {
			proc.statm.Close()
		}
		if vanished(err) { // it ended a moment ago
			continue
		}
		if err != nil {
			return 0, err
		}
		v, _, ok := procfile.Uint(procfile.Skip(text, 1))
		if !ok {
			return 0, unix.EINVAL
		}
		pages += v
		alive++
	}
	if alive == 0 {
		return 0, errNone
	}
	return pages * uint64(os.Getpagesize()), nil
}

// errNone says that a unit has no process, or none that was still there when it was looked at. That
// is not the same as using nothing, and its control group may be there all the same.
const errNone = unix.EAGAIN

// ticks is the CPU time that the processes have used since they are looked at.
func (p *processes) ticks(now time.Duration, buf []byte) (uint64, error) {
	before, alive := p.seen, 0
	if err := p.refresh(now, buf); err != nil {
		return 0, err
	}
	for i, proc := range p.list {
		text, err := proc.stat.Read(buf)
		if i >= mostKept {
			proc.stat.Close()
		}
		if vanished(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		v, ok := parseTicks(text)
		if !ok {
			return 0, unix.EINVAL
		}
		// A process that came later has used all of its time since the last look.
		if (proc.known || before) && v >= proc.last {
			p.total += v - proc.last
		}
		proc.last, proc.known = v, true
		alive++
	}
	if alive == 0 {
		return 0, errNone
	}
	return p.total, nil
}

// parseTicks reads the user and system time of /proc/PID/stat. The program's name in parentheses may
// hold anything, also parentheses and blanks.
func parseTicks(b []byte) (uint64, bool) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return 0, false
	}
	user, rest, ok := procfile.Uint(procfile.Skip(b[i+1:], 11))
	system, _, valid := procfile.Uint(rest)
	return user + system, ok && valid
}

// threads is the number of threads of all processes.
func (p *processes) threads(now time.Duration, buf []byte) (int, error) {
	if err := p.refresh(now, buf); err != nil {
		return 0, err
	}
	n := 0
	for _, g := range p.groups {
		text, err := g.threads.Read(buf)
		if err != nil {
			return 0, err
		}
		n += bytes.Count(text, newline)
	}
	return n, nil
}

var newline = []byte("\n")

// files is the number of open files of all processes.
func (p *processes) files(now time.Duration, buf []byte) (int, error) {
	if err := p.refresh(now, buf); err != nil {
		return 0, err
	}
	total, alive := 0, 0
	for i, proc := range p.list {
		n, err := proc.fds.count(buf)
		if i >= mostKept {
			proc.fds.close()
		}
		if vanished(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		total += n
		alive++
	}
	if alive == 0 {
		return 0, errNone
	}
	return total, nil
}
