package arbiter

import (
	"context"
	"fmt"
	"io"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// Restore replaces the whole state by a backup and begins a new generation, in which everything is paused. Nothing
// else is proposed in between, so that no grant is made by facts that may be old. It returns the generation.
// The node begins a generation in the same step as it takes the backup, so that no crash leaves the backup's own; the
// one that is proposed here says who restored. Errors: ErrNotLeader, ErrUnknownOutcome, those of ctx and of the backup.
func (a *Arbiter) Restore(ctx context.Context, backup io.Reader, by string) (string, error) {
	l, err := a.office(ctx)
	if err != nil {
		return "", err
	}
	type answer struct {
		id  string
		err error
	}
	done := make(chan answer, 1)
	work := func() {
		id, err := a.restore(ctx, l, backup, by)
		done <- answer{id, err}
	}
	select {
	case l.alone <- work:
	case <-l.closed:
		return "", a.elsewhere()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	r := <-done
	return r.id, r.err
}

func (a *Arbiter) restore(ctx context.Context, l *line, backup io.Reader, by string) (string, error) {
	if err := a.o.Node.Restore(ctx, backup); err != nil {
		return "", fmt.Errorf("restore: %w", err)
	}
	a.o.Replica.View(func(s *state.State) { l.format.Store(s.FormatLevel()) })
	a.follow()
	id := NewID()
	c := &logpb.Command{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{
		Id: id, Reason: by + " restored a backup",
	}}}
	if _, err := l.direct(ctx, c); err != nil {
		return "", fmt.Errorf("begin a generation after the restore: %w", err)
	}
	a.log.Warn("restored a backup; everything is paused", "by", by, "generation", id)
	return id, nil
}
