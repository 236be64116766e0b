package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// mostRecords bounds how many records of the kernel's log are looked at.
const mostRecords = 65536

// Line is one message of the kernel.
type Line struct {
	At   time.Duration // of CLOCK_MONOTONIC
	Text string
}

// OOM are the last n messages of the kernel about a lack of memory, oldest first. It returns an error
// where the agent may not read the kernel's log.
func OOM(ctx context.Context, n int) ([]Line, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open kernel log: %w", err)
	}
	defer unix.Close(fd)
	return oomLines(ctx, n, func(buf []byte) (int, error) { return unix.Read(fd, buf) })
}

// oomLines reads record after record until there is none left.
func oomLines(ctx context.Context, n int, read func([]byte) (int, error)) ([]Line, error) {
	var lines []Line
	buf := make([]byte, 8192) // the kernel's limit of one record
	for range mostRecords {
		if ctx.Err() != nil {
			return lines, ctx.Err()
		}
		m, err := read(buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return lines, nil
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.EINTR): // overwritten meanwhile: the next one is there
			continue
		case err != nil:
			return lines, fmt.Errorf("read kernel log: %w", err)
		case m == 0:
			return lines, nil
		}
		l, ok := parseRecord(buf[:m])
		if !ok || !aboutMemory(l.Text) {
			continue
		}
		lines = append(lines, l)
		if len(lines) > n {
			lines = lines[1:]
		}
	}
	return lines, nil
}

// parseRecord reads one record: "6,1234,98765432,-;text", then lines that begin with a blank. Bytes
// that are not printable come as \x00 from the kernel itself.
func parseRecord(b []byte) (Line, bool) {
	head, text, ok := bytes.Cut(b, []byte(";"))
	fields := strings.SplitN(string(head), ",", 4)
	if !ok || len(fields) < 3 {
		return Line{}, false
	}
	micros, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || micros < 0 || micros > int64(1<<63-1)/1000 {
		return Line{}, false
	}
	text, _, _ = bytes.Cut(text, []byte("\n"))
	return Line{At: time.Duration(micros) * time.Microsecond, Text: strings.ToValidUTF8(string(text), "?")}, true
}

func aboutMemory(text string) bool {
	for _, s := range []string{"Out of memory", "out of memory", "oom-kill", "oom_reaper", "invoked oom-killer"} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}
