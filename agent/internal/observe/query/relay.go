package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/proto/agentpb"
)

// Figure asks the controller for the answer to its query of that name.
type Figure func(ctx context.Context, query string) (*agentpb.ReadFigureResponse, error)

// relay is the controller, which asks a server for many hosts.
type relay struct {
	controller Figure
	target     Target
	last       uint64 // answer that was told
}

func (r *relay) close() {}

// ask implements origin. The controller says how old its answer is when it is asked, which is not before now: so the
// figure is not older than that age before now.
func (r *relay) ask(ctx context.Context, now clock.Instant) (figure, error) {
	ctx, cancel := context.WithTimeout(ctx, min(r.target.Every, defaults.QueryWait))
	defer cancel()
	told, err := r.controller(ctx, r.target.Name)
	if err != nil {
		return figure{}, fmt.Errorf("ask the controller: %w", err)
	}
	age, every, window := time.Duration(told.GetAge()), time.Duration(told.GetEvery()), time.Duration(told.GetWindow())
	switch {
	case told.GetError() != "":
		return figure{}, fmt.Errorf("the controller: %.500s", told.GetError())
	case age < 0 || every <= 0 || window < 0 || told.GetValue()-told.GetValue() != 0:
		return figure{}, errors.New("the controller says what makes no sense")
	case age > 3*every:
		return figure{}, fmt.Errorf("the answer is %s old, of a query that is asked every %s", age.Round(time.Second), every)
	case every > r.target.Every:
		return figure{}, fmt.Errorf("the controller asks every %s, and not every %s: say so with every", every, r.target.Every)
	case window > r.target.Window:
		return figure{}, fmt.Errorf("an answer looks back %s, and not %s: say so with window", defaults.Duration(window),
			defaults.Duration(r.target.Window))
	}
	f := figure{value: told.GetValue(), known: told.GetKnown(), at: now.Boot - age}
	f.again, r.last = f.known && told.GetAnswer() == r.last, told.GetAnswer()
	return f, nil
}
