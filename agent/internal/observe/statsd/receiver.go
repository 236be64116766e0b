package statsd

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
)

const (
	// maxPacket is the longest datagram that is read.
	maxPacket = 64 << 10
	// budget bounds the bytes that are read in a second from one address, each datagram counted with the overhead of
	// reading it: some 50,000 of one line, or 16 MiB of full ones.
	budget   = 16 << 20
	overhead = 256
	// patience is for how long a block may get no line of a metric before that is told as a failure, and for how long
	// lines that could not be read are. A block that hears nothing at all for so long is not that of an idle service: who
	// has died sends nothing, too.
	patience = time.Minute
)

// receiver has the addresses on which lines come. Blocks with the same address share it.
type receiver struct {
	opt source.Options

	mu    sync.Mutex // is taken before those of doors
	doors map[string]*door
}

func newReceiver(o source.Options) *receiver { return &receiver{opt: o, doors: map[string]*door{}} }

// enter opens the address of a block, or lets it share one that is open. What comes counts from then on.
func (r *receiver) enter(ctx context.Context, b *block) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.doors[b.target.Listen]
	if d == nil {
		conn, leave, err := listen(ctx, b.target.Listen)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		d = &door{clock: r.opt.Clock}
		d.open(context.WithoutCancel(ctx), conn, leave)
		r.doors[b.target.Listen] = d
	}
	d.join(b.table)
	b.door = d
	return nil
}

// leave closes the address that a block is the last to leave.
func (r *receiver) leave(b *block) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.door != nil && b.door.part(b.table) {
		delete(r.doors, b.target.Listen)
		b.door.stop()
	}
}

// door is an address that is open. A goroutine reads what comes.
type door struct {
	clock clock.Clock
	stop  func() // closes the socket, and waits until nobody reads

	// Of the goroutine.
	second time.Time // when the budget was full
	spent  int       // of it since then

	mu   sync.Mutex
	all  lines
	busy time.Duration // how long reading took
	deaf time.Duration // until when datagrams were dropped, or will be
	lost uint64        // of them, as far as one knows
}

// open begins to read from a socket that leave closes.
func (d *door) open(ctx context.Context, conn net.Conn, leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	d.stop = func() {
		cancel()
		leave()
		<-done
	}
	go func() {
		d.read(ctx, conn)
		close(done)
	}()
}

// join begins to count for a table.
func (d *door) join(t *table) {
	now := d.clock.Now().Boot
	d.mu.Lock()
	defer d.mu.Unlock()
	t.begin(now)
	t.since, t.busy = now, d.busy
	d.all.set(append(d.all.tables, t))
}

// part ends that, and reports whether there is no other table.
func (d *door) part(t *table) (last bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all.set(slices.DeleteFunc(d.all.tables, func(o *table) bool { return o == t }))
	return len(d.all.tables) == 0
}

// read reads what comes until ctx ends.
func (d *door) read(ctx context.Context, conn net.Conn) {
	packet := make([]byte, maxPacket+1)
	_, udp := conn.(*net.UDPConn)
	for ctx.Err() == nil {
		n, err := conn.Read(packet)
		now := time.Now()
		switch {
		case err != nil:
			pause(ctx, time.Second)
		case d.affords(n, now):
			d.take(packet[:n], now)
		case udp: // the kernel drops the rest; whoever sends to a Unix socket would wait for us
			pause(ctx, d.second.Add(time.Second).Sub(now))
		}
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

// affords reports whether a datagram of n bytes is within the budget. If not, the rest of this second is lost.
func (d *door) affords(n int, now time.Time) bool {
	if now.Sub(d.second) >= time.Second {
		d.second, d.spent = now, 0
	}
	if d.spent += n + overhead; d.spent <= budget {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaf = d.clock.Now().Boot + d.second.Add(time.Second).Sub(now)
	d.lost++
	return false
}

// take reads the lines of a datagram that came at the given moment.
func (d *door) take(packet []byte, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(packet) > maxPacket {
		refuse(d.all.tables, packet, errPacket)
	} else {
		d.all.take(packet)
	}
	if len(d.all.tables) == 1 { // whatever comes is from its service
		d.all.tables[0].heard = true
	}
	d.busy += time.Since(at)
}

// end ends a round of a table, and returns its share of the time that reading took, and what the operator should know.
// After a loss the table begins anew, because what is known is too little then.
func (d *door) end(t *table, now time.Duration) (read time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.deaf > t.last {
		err = fmt.Errorf("too much comes: at least %d datagrams were dropped so far", d.lost)
		t.begin(now)
		d.all.set(d.all.tables)
	} else if t.end(now) {
		d.all.forget()
	}
	read, t.busy = (d.busy-t.busy)/time.Duration(len(d.all.tables)), d.busy
	if fault := t.tell(now); err == nil {
		err = fault
	}
	return read, err
}
