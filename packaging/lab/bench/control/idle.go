package control

import (
	"context"
	"fmt"
	"time"

	"github.com/salveops/salve/packaging/lab/load"
	"github.com/salveops/salve/packaging/lab/rig"
)

// idle measures what sessions cost that have nothing to say, one TCP connection each.
func (b *Bench) idle(ctx context.Context) error {
	for _, n := range b.opts.Sessions {
		i, err := b.atRest(ctx, n)
		if err != nil {
			return fmt.Errorf("%d sessions: %w", n, err)
		}
		b.logf("%d sessions: %.1f KiB and %.1f ms of processor time a minute each; connected in %v; %d heartbeats, %d entries",
			n, i.perSession()/1024, i.cpuPerSession(), i.Connecting, i.Heartbeats, i.Entries)
		b.result.Idle = append(b.result.Idle, i)
	}
	return nil
}

// atRest watches a fresh controller of one node, first alone and then with n sessions.
func (b *Bench) atRest(ctx context.Context, n int) (*Idle, error) {
	s := b.salve("default")
	defer s.stop()
	if err := s.start(ctx, 1); err != nil {
		return nil, err
	}
	i := &Idle{Sessions: n}
	var err error
	if i.Before, i.CPUBefore, err = watch(ctx, s.nodes()[0], b.opts.Rest/2); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := s.connect(ctx, load.Options{}, n); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, logs(s.nodes()))
	}
	i.Connecting = time.Since(start)
	wait(ctx, b.opts.Rest/2) // standing orders are confirmed, garbage is collected
	before, err := s.index(ctx, 0)
	if err != nil {
		return nil, err
	}
	stats := s.fleet.Stats()
	if i.RSS, i.CPU, err = watch(ctx, s.nodes()[0], b.opts.Rest); err != nil {
		return nil, err
	}
	after, err := s.index(ctx, 0)
	if err != nil {
		return nil, err
	}
	now := s.fleet.Stats()
	i.Entries, i.Heartbeats = after-before, now.Pongs-stats.Pongs
	i.Busy, i.SlowestRTT = now.Busy, now.SlowestRTT
	if ended := now.Ended - stats.Ended; now.Live != int64(n) || ended > 0 {
		return nil, fmt.Errorf("%d of %d sessions live, %d ended: it was no rest", now.Live, n, ended)
	}
	return i, s.check()
}

// watch is the memory of a process after d and its processor time in d, seconds a minute.
func watch(ctx context.Context, p *node, d time.Duration) (rss int64, perMinute float64, err error) {
	start := time.Now()
	before, err := cpu([]*node{p})
	if err != nil {
		return 0, 0, err
	}
	wait(ctx, d)
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	after, err := cpu([]*node{p})
	if err != nil {
		return 0, 0, err
	}
	m, err := rig.MemoryOf(p.PID())
	return m.RSS, (after - before).Seconds() / time.Since(start).Minutes(), err
}
