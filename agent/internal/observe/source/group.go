package source

import (
	"context"
	"slices"
	"sync"
)

// Member watches one target until the context of Run ends.
type Member[T any] interface {
	// Watches reports whether the member would do for this target, just as it is.
	Watches(T) bool
	Run(ctx context.Context)
	Stats() Stats
}

// Group watches targets of one kind, each in a goroutine of its own. SetTargets and Stats may be called
// from any goroutine.
type Group[T any] struct {
	start func(T) Member[T]

	mu      sync.Mutex
	ctx     context.Context // nil before Run
	members []*member[T]    // in the order of the targets
	working sync.WaitGroup
}

type member[T any] struct {
	Member[T]
	cancel context.CancelFunc // nil before it runs
}

// NewGroup makes a group without targets; start makes the member for one.
func NewGroup[T any](start func(T) Member[T]) *Group[T] { return &Group[T]{start: start} }

// Run watches until ctx ends.
func (g *Group[T]) Run(ctx context.Context) {
	g.mu.Lock()
	g.ctx = ctx
	for _, m := range g.members {
		g.run(m)
	}
	g.mu.Unlock()
	<-ctx.Done()
	g.working.Wait()
}

// SetTargets replaces the targets. Those that stay as they are keep their member, and what it knows.
func (g *Group[T]) SetTargets(targets []T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.members
	g.members = nil
	for _, t := range targets {
		if i := slices.IndexFunc(before, func(m *member[T]) bool { return m.Watches(t) }); i >= 0 {
			g.members = append(g.members, before[i])
			before = slices.Delete(before, i, i+1)
			continue
		}
		m := &member[T]{Member: g.start(t)}
		g.members = append(g.members, m)
		if g.ctx != nil {
			g.run(m)
		}
	}
	for _, m := range before {
		if m.cancel != nil {
			m.cancel()
		}
	}
}

func (g *Group[T]) run(m *member[T]) {
	if g.ctx.Err() != nil { // Run may have returned already
		return
	}
	ctx, cancel := context.WithCancel(g.ctx)
	m.cancel = cancel
	g.working.Go(func() { m.Run(ctx) })
}

// Each calls f with each member.
func (g *Group[T]) Each(f func(Member[T])) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.members {
		f(m.Member)
	}
}

// Stats are the figures of each member's source about itself.
func (g *Group[T]) Stats() []Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	stats := make([]Stats, len(g.members))
	for i, m := range g.members {
		stats[i] = m.Stats()
	}
	return stats
}
