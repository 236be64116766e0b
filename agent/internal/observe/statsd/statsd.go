// Package statsd listens for lines of StatsD and DogStatsD over UDP and Unix datagrams, and tells the figures that the
// metric blocks of services make of them. Each listener has a goroutine and a socket of its own.
package statsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
)

// Target is one socket of one service. Nothing in it may be missing.
type Target struct {
	Service string
	Name    string
	Listen  string        // host:port, or unixgram:/path
	Every   time.Duration // between two figures
	Metrics []source.Metric
}

func (t Target) equal(o Target) bool {
	return t.Service == o.Service && t.Name == o.Name && t.Listen == o.Listen && t.Every == o.Every &&
		slices.EqualFunc(t.Metrics, o.Metrics, source.Metric.Equal)
}

// Watcher listens on all sockets.
type Watcher = source.Group[Target]

// New makes a watcher without sockets.
func New(o source.Options) *Watcher {
	return source.NewGroup(func(t Target) source.Member[Target] { return newListener(o, t) })
}

const (
	// maxPacket is the longest datagram that is read.
	maxPacket = 64 << 10
	// budget bounds the bytes that are read in a second, each datagram counted with the overhead of reading it: some
	// 50,000 of one line, or 16 MiB of full ones.
	budget   = 16 << 20
	overhead = 256
	// patience is how long a socket may bring no line of a metric before that is told as a failure, and for how long
	// lines that could not be read are. A socket that brings nothing at all for so long is not that of an idle service: who
	// has died sends nothing, too.
	patience = time.Minute
	// waiting is how much the kernel keeps for us, if it may.
	waiting = 1 << 20
)

// listener is one target with its socket and the figures of it.
type listener struct {
	opt     source.Options
	target  Target
	meter   source.Meter
	handles []*source.Handle // of the metrics
	table   *table
	packet  []byte
	conn    net.Conn      // nil: it could not be opened
	since   time.Duration // when it was
	took    time.Duration // to read what came in this round
	spent   int           // of the budget of this round
	heard   time.Duration // end of the last round in which anything came
	lost    int           // datagrams of this round that were not looked at, as far as one knows
	bad     uint64        // lines that the table had refused when the last one was told
	badAt   time.Duration // and when that was
}

func newListener(o source.Options, t Target) *listener {
	l := &listener{opt: o, target: t, packet: make([]byte, maxPacket+1), handles: o.Book.Metrics(t.Metrics, t.Service)}
	l.meter.Name = "statsd." + t.Name + "{" + t.Service + "}"
	return l
}

// Watches implements source.Member.
func (l *listener) Watches(t Target) bool { return l.target.equal(t) }

// Stats implements source.Member.
func (l *listener) Stats() source.Stats { return l.meter.Stats() }

// Run reads what comes, and delivers figures at each moment of the schedule.
func (l *listener) Run(ctx context.Context) {
	_ = l.open(ctx) // who had the socket before may not have left yet; it is told from the first round on
	offset := l.opt.Grid.Offset(l.target.Service+"\x00"+l.target.Name, l.target.Every)
	for {
		now := l.opt.Clock.Now().Boot
		l.receive(ctx, l.opt.Grid.Next(now, l.target.Every, offset)-now)
		if ctx.Err() != nil {
			l.opt.Unknown(l.handles)
			return
		}
		l.end(ctx)
	}
}

// open opens the socket until ctx ends, and begins to count.
func (l *listener) open(ctx context.Context) error {
	conn, leave, err := listen(ctx, l.target.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	context.AfterFunc(ctx, leave)
	l.conn, l.since = conn, l.opt.Clock.Now().Boot
	l.table = newTable(l.target.Metrics, l.target.Every, l.since)
	l.bad = 0
	return nil
}

// listen opens a socket; leave closes it.
func listen(ctx context.Context, address string) (conn net.Conn, leave func(), err error) {
	path, local := strings.CutPrefix(address, "unixgram:")
	if !local {
		packets, err := new(net.ListenConfig).ListenPacket(ctx, "udp", address)
		if err != nil {
			return nil, nil, err
		}
		udp := packets.(*net.UDPConn)
		_ = udp.SetReadBuffer(waiting) // the kernel may permit less
		return udp, func() { _ = udp.Close() }, nil
	}
	if err := removeStale(path); err != nil {
		return nil, nil, err
	}
	unix, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, nil, err
	}
	leave = func() {
		_ = os.Remove(path) // first, so that it is not another's already
		_ = unix.Close()
	}
	if err := os.Chmod(path, 0o622); err != nil { // who may enter the folder may send
		leave()
		return nil, nil, err
	}
	_ = unix.SetReadBuffer(waiting)
	return unix, leave, nil
}

// removeStale removes a socket on which nobody listens any more.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and no socket", path)
	}
	if other, err := net.Dial("unixgram", path); err == nil {
		_ = other.Close()
		return fmt.Errorf("another process listens on %s", path)
	}
	return os.Remove(path)
}

// receive reads for the given time.
func (l *listener) receive(ctx context.Context, wait time.Duration) {
	l.took, l.spent, l.lost = 0, 0, 0
	if l.conn == nil {
		pause(ctx, wait)
		return
	}
	end := time.Now().Add(wait)
	_ = l.conn.SetReadDeadline(end) // fails as reading does
	for {
		n, err := l.conn.Read(l.packet)
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				pause(ctx, time.Until(end))
			}
			return
		}
		if l.spent += n + overhead; l.spent > int(budget*l.target.Every.Seconds()) {
			l.lost++
			if _, udp := l.conn.(*net.UDPConn); udp {
				pause(ctx, time.Until(end)) // the kernel drops the rest; whoever sends to a Unix socket would wait for us
				return
			}
			continue
		}
		start := time.Now()
		if n > maxPacket {
			l.table.refuse(l.packet[:n], errPacket)
		} else {
			l.table.take(l.packet[:n])
		}
		l.took += time.Since(start)
	}
}

func pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// end ends a round and delivers the figures. After a loss all counting begins anew, because what is known is too
// little then.
func (l *listener) end(ctx context.Context) {
	var err error
	if l.conn == nil {
		err = l.open(ctx)
	}
	now := l.opt.Clock.Now().Boot
	if l.lost > 0 {
		err = fmt.Errorf("too much comes: at least %d datagrams were dropped", l.lost)
		l.table, l.bad = newTable(l.target.Metrics, l.target.Every, now), 0
	}
	if err != nil || l.conn == nil {
		l.record(now, err)
		l.opt.Unknown(l.handles)
		return
	}
	if l.spent > 0 {
		l.heard = now
	}
	start := time.Now()
	l.table.end(now)
	b := l.opt.Book.Batch()
	for i, h := range l.handles {
		f := l.table.figures[i].Take()
		f.Idle = f.Idle && now-l.heard <= patience
		b.Figure(h, now, f)
		if err == nil && f.Fault != nil && now-l.since > patience {
			err = fmt.Errorf("metric %s: %w", l.target.Metrics[i].Name, f.Fault)
		}
	}
	l.opt.Deliver(b)
	if l.table.bad > l.bad {
		l.bad, l.badAt = l.table.bad, now
	}
	if l.bad > 0 && now-l.badAt <= patience {
		err = l.table.complaint()
	}
	l.took += time.Since(start)
	l.record(now, err)
}

// record notes a round, and writes the one line for a source that begins to fail or works again.
func (l *listener) record(now time.Duration, err error) {
	if !l.meter.Record(now, l.took, err) {
		return
	}
	if err != nil {
		l.opt.Log.Warn("metrics cannot be read", "service", l.target.Service, "statsd", l.target.Name, "error", err)
		return
	}
	l.opt.Log.Info("metrics can be read again", "service", l.target.Service, "statsd", l.target.Name)
}
