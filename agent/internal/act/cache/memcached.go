package cache

import (
	"context"
	"fmt"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/signal"
)

// items are what a memcached has at one moment, as it tells of itself. No key is in it. Those that were flushed are counted on
// until their room is needed.
type items struct {
	Address string `json:"address"` // host:port, or unix:/path
	counts
	Flushes int64 `json:"flushes"` // since it was started
}

// check implements source.
func (m *items) check(ctx context.Context, s *kind.Step, _ string) error {
	now, err := m.now(ctx)
	if err != nil {
		return kind.Unknown("the state of cache "+s.Target, err)
	}
	*m = now
	s.Detail = []string{fmt.Sprintf("memcached at %s: %d keys, %s; %s", m.Address, m.Keys,
		signal.Format(signal.Bytes, float64(m.Bytes)), m.hitRate())}
	return m.mayGo(s)
}

// now connects and looks.
func (m *items) now(ctx context.Context) (items, error) {
	c, err := dial(ctx, m.Address)
	if err != nil {
		return items{}, err
	}
	defer c.Close()
	return c.stats(ctx)
}

// clear implements source.
func (m *items) clear(ctx context.Context, r *run) (evidence, error) {
	after := items{Address: m.Address}
	c, err := dial(ctx, m.Address)
	if err != nil {
		return evidence{Memcached: &after}, fmt.Errorf("nothing was done: %w", err)
	}
	defer c.Close()
	if r.AtOnce {
		if err = c.flush(ctx); err == nil {
			r.End = "all was flushed"
		}
	} else {
		err = r.ended(r.recall(ctx, c))
	}
	if now, lookErr := c.stats(ctx); lookErr == nil { // else it is done, and only the evidence is missing
		after = now
	}
	return evidence{Memcached: &after}, err
}

// settle implements source: the server counts how often keys were removed from it.
func (m *items) settle(ctx context.Context, _ string) (incident.Phase, string) {
	now, err := m.now(ctx)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	phase, why := m.became(now.counts)
	if now.Life == m.Life && now.Flushes > m.Flushes {
		return incident.Acted, "all was flushed since"
	}
	return phase, why
}

// recall takes one look at all keys, and removes those that are meant. There is no second look: it would find what the cache
// has been filled with again.
func (r *run) recall(ctx context.Context, c *memcached) error {
	found, whole, err := find(ctx, c.address, r.Prefix, r.Most)
	if err != nil {
		return err
	}
	if err := r.next(ctx, 0); err != nil { // to look at many takes time, too
		return err
	}
	for len(found) > 0 {
		n := min(len(found), r.size())
		removed, err := c.remove(ctx, found[:n])
		if err != nil {
			r.Removed += int64(removed)
			return err
		}
		found = found[n:]
		if err := r.next(ctx, removed); err != nil {
			return err
		}
	}
	if !whole {
		r.End = "as many keys were looked up as may be in one run; there may be more"
		return errEnough
	}
	return nil
}
