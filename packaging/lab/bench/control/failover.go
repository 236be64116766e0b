package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/packaging/lab/load"
)

// stallTime is how long a leader has to be able to stand still without losing its place. A stalled disk stops
// less than this does: heartbeats do not touch the disk.
const stallTime = 200 * time.Millisecond

// batch is how many tries one start of a contender serves; the contenders take turns.
const batch = 5

// failover measures from the kill of a leader to the next operation, on three nodes.
func (b *Bench) failover(ctx context.Context) error {
	for left := b.opts.Kills; left > 0; left -= batch {
		all := []contender{b.salve("default"), b.salve("fast"), b.etcd()}
		b.dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, c := range all {
			if err := b.losses(ctx, c, min(left, batch)); err != nil {
				return fmt.Errorf("%s: %w\n%s", c.name(), err, logs(c.nodes()))
			}
		}
	}
	return nil
}

// losses starts a contender, makes its leader stand still and then kills it, so many times.
func (b *Bench) losses(ctx context.Context, c contender, tries int) error {
	defer c.stop()
	if err := c.start(ctx, 3); err != nil {
		return err
	}
	if err := c.stand(ctx); err != nil {
		return err
	}
	k := b.result.kill(c.name())
	for range tries {
		elected, err := b.stall(ctx, c)
		if err != nil {
			return fmt.Errorf("stall: %w", err)
		}
		k.Stalls++
		if elected {
			k.Elections++
		}
		took, err := b.loss(ctx, c)
		if err != nil {
			return fmt.Errorf("kill: %w", err)
		}
		k.Took = append(k.Took, took)
		b.logf("%s: leader killed → next: %d ms; election after a stall: %t", c.name(), took.Milliseconds(), elected)
	}
	return c.check()
}

// stall freezes the leader for a moment and reports whether another reign began.
func (b *Bench) stall(ctx context.Context, c contender) (bool, error) {
	before, err := ruler(ctx, c)
	if err != nil {
		return false, err
	}
	if err := c.nodes()[before.node].freeze(ctx, stallTime); err != nil {
		return false, err
	}
	wait(ctx, 2*b.opts.Recover) // more than an election
	after, err := ruler(ctx, c)
	return after != before, err
}

// loss kills the leader and brings the node back when the next leader has committed something.
func (b *Bench) loss(ctx context.Context, c contender) (time.Duration, error) {
	wait(ctx, b.phase())
	r, err := ruler(ctx, c)
	if err != nil {
		return 0, err
	}
	leader := c.nodes()[r.node]
	start := time.Now()
	if err := leader.Kill(); err != nil {
		return 0, err
	}
	once, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	took, err := c.next(once, r.node, start)
	if err != nil {
		return 0, err
	}
	if err := leader.Start(); err != nil {
		return 0, err
	}
	if err := awaitLeader(ctx, c); err != nil {
		return 0, err
	}
	wait(ctx, b.opts.Recover) // the node that came back catches up
	return took, ctx.Err()
}

// phase is a random part of a second: kills do not wait for heartbeats.
func (b *Bench) phase() time.Duration { return time.Duration(b.dice.Int64N(int64(time.Second))) }

// storm kills a leader that all agents are connected to.
func (b *Bench) storm(ctx context.Context, sessions int) error {
	s := b.salve("default")
	defer s.stop()
	if err := s.start(ctx, 3); err != nil {
		return err
	}
	if err := s.connect(ctx, load.Options{}, sessions); err != nil {
		return fmt.Errorf("%w; %+v\n%s", err, s.fleet.Stats(), logs(s.nodes()))
	}
	wait(ctx, b.opts.Rest/2)
	r, err := ruler(ctx, s)
	if err != nil {
		return err
	}
	busy, start := s.fleet.Stats().Busy, time.Now()
	if err := s.nodes()[r.node].Kill(); err != nil {
		return err
	}
	all, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	st := &Storm{Sessions: sessions}
	if st.Took, err = s.fleet.Await(all, start); err != nil {
		return fmt.Errorf("after the loss of the leader: %w; %+v\n%s", err, s.fleet.Stats(), logs(s.nodes()))
	}
	st.Busy = s.fleet.Stats().Busy - busy
	if st.Lost, err = s.mostLost(ctx, b.opts.Lost); err != nil {
		return err
	}
	b.logf("%d agents lost their leader: the last one was welcome after %v, %d times busy, %d hosts lost",
		sessions, st.Took.Max(), st.Busy, st.Lost)
	b.result.Storm = st
	return s.check()
}

// mostLost watches for d how many hosts the leader holds for lost. The figure after a change of leaders comes
// when that leader's first ten seconds are over. Busy nodes may leave single questions unanswered.
func (s *salve) mostLost(ctx context.Context, d time.Duration) (uint32, error) {
	most, answers := uint32(0), 0
	for end := time.Now().Add(d); time.Now().Before(end); wait(ctx, 200*time.Millisecond) {
		for i := range s.conns {
			if st, err := s.status(ctx, i); err == nil && st.GetRole() == "leader" {
				most = max(most, st.GetLost())
				answers++
			}
		}
	}
	if answers == 0 {
		return 0, errors.New("no leader said how many hosts are lost")
	}
	return most, ctx.Err()
}
