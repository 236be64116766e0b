package isolate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/agent/internal/act/backend"
	"github.com/salveops/salve/agent/internal/act/kind"
)

// server is a dependency that is reached through a HAProxy. HAProxy keeps no time and no mark of who took a server out: the
// agent brings it back, or the next one does, and both go by the server's own state.
type server struct {
	backend.Server
	State string `json:"state"` // "maint" or "drain"
}

// bit is what State looks like.
func (s server) bit() int {
	if s.State == "drain" {
		return backend.ForcedDrain
	}
	return backend.ForcedMaint
}

func (s server) describe() string {
	return fmt.Sprintf("take server %s of HAProxy out (%s)", s, s.State)
}

func (s server) check(ctx context.Context) error {
	_, err := s.Check(ctx)
	return err
}

// make looks once more when it is done: two that each leave the other's server in would else take out both. What is not out by
// this has to be known, because mend could not tell it from what a person takes out later.
func (s server) make(ctx context.Context, _ string, _ time.Duration) error {
	err := s.Put(ctx, s.State)
	var no backend.Refusal
	switch {
	case errors.As(err, &no):
		return fmt.Errorf("%w: %w", errNothing, err)
	case err != nil:
		return fmt.Errorf("%w: %w", kind.ErrLost, err)
	}
	if _, err := s.Still(ctx, s.bit()); err != nil {
		err = fmt.Errorf("take out %s: %w", s, err)
		if back := s.Restore(ctx, s.bit()); back != nil {
			return errors.Join(err, back)
		}
		return fmt.Errorf("%w: %w", errNothing, err)
	}
	return nil
}

func (s server) mend(ctx context.Context, _ string) error { return s.Restore(ctx, s.bit()) }

func (s server) made(ctx context.Context, _ string) (bool, error) { return s.Out(ctx, s.bit()) }
