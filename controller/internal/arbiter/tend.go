package arbiter

import (
	"context"
	"time"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// Times of the duties.
const (
	tendEvery = time.Second            // at least
	tendRest  = 100 * time.Millisecond // at most as often as that
)

// tend moves log time on when something is due, opens windows, raises the format, and has states compared.
func (a *Arbiter) tend(ctx context.Context, l *line, t turns) error {
	checked := uint64(0)
	for {
		changed := a.o.Replica.Changed()
		for _, c := range a.duties(t, &checked) {
			if err := l.duty(ctx, c); err != nil {
				return err
			}
		}
		if level := a.level(); level > 0 {
			if err := a.raise(ctx, l, level); err != nil {
				return err
			}
		}
		if !a.rest(ctx, changed) {
			return nil
		}
	}
}

// duties are the commands that are due now.
func (a *Arbiter) duties(t turns, checked *uint64) []*logpb.Command {
	out := a.due(t)
	var due int64
	a.o.Replica.View(func(s *state.State) { due = s.Due() })
	if due > 0 && a.work.until(due, a.o.Clock.Now()) == 0 {
		out = append(out, &logpb.Command{What: &logpb.Command_Tick{Tick: &logpb.Tick{}}})
	}
	if c := a.o.Replica.Check(); c.GetIndex() > *checked {
		*checked = c.GetIndex()
		out = append(out, &logpb.Command{What: &logpb.Command_Check{Check: c}})
	}
	return out
}

// level is the format to raise the log to, 0: none.
func (a *Arbiter) level() uint32 {
	if a.o.PeerFormat == nil {
		return 0
	}
	var now uint32
	a.o.Replica.View(func(s *state.State) { now = s.FormatLevel() })
	if level := min(a.o.PeerFormat(), state.Format); level > now {
		return level
	}
	return 0
}

// raise lifts the log's format level; entries after it are stamped with it.
func (a *Arbiter) raise(ctx context.Context, l *line, level uint32) error {
	c := &logpb.Command{What: &logpb.Command_SetFormat{SetFormat: &logpb.SetFormat{Level: level}}}
	if err := l.duty(ctx, c); err != nil {
		return err
	}
	a.o.Replica.View(func(s *state.State) { l.format.Store(s.FormatLevel()) })
	return nil
}

// rest waits until a duty may be due: a moment at least, so that duties are no load, and a second at most.
func (a *Arbiter) rest(ctx context.Context, changed <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(tendRest):
	}
	var due int64
	a.o.Replica.View(func(s *state.State) { due = s.Due() })
	wait := tendEvery
	if due > 0 {
		wait = min(wait, a.work.until(due, a.o.Clock.Now()))
	}
	select {
	case <-ctx.Done():
		return false
	case <-changed:
	case <-time.After(wait):
	}
	return true
}
