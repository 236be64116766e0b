package control

import (
	"context"
	"fmt"
	"time"

	"github.com/salveops/salve/packaging/lab/load"
)

// throughput measures all contenders at all numbers of nodes and callers. In each round every contender is
// started anew, in an order by chance, so that what the machine does besides hits them all.
func (b *Bench) throughput(ctx context.Context) error {
	for _, n := range b.opts.Nodes {
		for round := range b.opts.Rounds {
			all := []contender{b.salve("default"), b.etcd()}
			b.dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			for _, c := range all {
				if err := b.round(ctx, c, n); err != nil {
					return fmt.Errorf("%s, %d nodes, round %d: %w", c.name(), n, round+1, err)
				}
			}
		}
	}
	return nil
}

// round measures one contender once at every number of callers.
func (b *Bench) round(ctx context.Context, c contender, n int) error {
	defer c.stop()
	if err := c.start(ctx, n); err != nil {
		return err
	}
	for _, callers := range b.opts.Callers {
		all, err := c.callers(ctx, callers)
		if err != nil {
			return err
		}
		r, err := b.drive(ctx, c, all)
		if err != nil {
			return fmt.Errorf("%d callers: %w\n%s", callers, err, logs(c.nodes()))
		}
		b.result.add(c.name(), n, callers, r)
		f := r.Figures
		b.logf("%s, %d nodes, %d callers: %.0f/s (grants %.0f, settles %.0f, puts %.0f), %.1f an entry, %.2f cores", c.name(),
			n, callers, f.Rate(load.Grant, load.Settle, load.Put), f.Rate(load.Grant), f.Rate(load.Settle), f.Rate(load.Put),
			float64(r.Done)/float64(max(r.Entries, 1)), r.Cores)
	}
	return nil
}

// drive makes the callers work, and sees to it that the leader stays.
func (b *Bench) drive(ctx context.Context, c contender, callers []load.Caller) (Round, error) {
	before, err := ruler(ctx, c)
	if err != nil {
		return Round{}, err
	}
	start := time.Now()
	used, err := cpu(c.nodes())
	if err != nil {
		return Round{}, err
	}
	first, err := c.index(ctx, before.node)
	if err != nil {
		return Round{}, err
	}
	f, err := load.Drive(ctx, callers, load.Plan{Warm: b.opts.Warm, For: b.opts.Measure})
	if err != nil {
		return Round{}, err
	}
	more, err := cpu(c.nodes())
	if err != nil {
		return Round{}, err
	}
	last, err := c.index(ctx, before.node)
	if err != nil {
		return Round{}, err
	}
	r := Round{Figures: f, Done: f.Done, Entries: last - first, Cores: (more - used).Seconds() / time.Since(start).Seconds()}
	if err := c.check(); err != nil {
		return r, err
	}
	if after, err := c.reign(ctx); err != nil || after != before {
		r.Elected = true
		b.logf("%s with %d callers had an election: %+v before, %+v after (%v)", c.name(), len(callers), before, after, err)
	}
	return r, nil
}
