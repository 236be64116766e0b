// Package cache is the kind of remedy that makes caches forget, a few keys at a time.
package cache

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Kind clears caches. Make it with New. What is forgotten half is no harm: the rest is as it was, so there is nothing that must
// be taken back or brought to an end.
type Kind struct {
	*kind.Host
	kind.NoUndo
}

// New prepares the kind.
func New(h *kind.Host) Kind { return Kind{Host: h} }

func argsOf(q kind.Request) *remedy.CacheArgs { return q.Remedy.Args.(*remedy.CacheArgs) }

// Target implements kind.Kind. Nothing named is nothing, never everything, whoever made the arguments.
func (Kind) Target(_ context.Context, q kind.Request) (string, error) {
	a := argsOf(q)
	switch {
	case a.All == (a.Prefix != ""):
		return "", kind.Refuse("clear_cache must name either a prefix of keys or all of them")
	case a.Rate <= 0 || a.Most <= 0:
		return "", kind.Refuse("clear_cache names no rate, or no bound of keys")
	}
	c, err := cacheOf(q)
	if err != nil {
		return "", err
	}
	return c.Name, nil
}

func cacheOf(q kind.Request) (*config.Cache, error) {
	name := argsOf(q).Cache
	if name == "" {
		return nil, kind.Refuse("clear_cache names no cache")
	}
	if q.Remedy.Service != nil {
		for _, c := range q.Remedy.Service.Caches {
			if c.Name == name {
				return c, nil
			}
		}
	}
	return nil, kind.Refuse("the service has no cache %q", name)
}

// Describe implements kind.Kind.
func (Kind) Describe(s *kind.Step) string {
	a, part := argsOf(s.Request), ""
	if before, ok := s.Before.(state); ok && before.Cluster {
		part = " of this node's part of the cluster"
	}
	if a.AtOnce {
		return fmt.Sprintf("make cache %s forget all keys%s at once", s.Target, part)
	}
	what := "all keys"
	if !a.All {
		what = fmt.Sprintf("the keys that begin with %q", a.Prefix)
	}
	return fmt.Sprintf("make cache %s forget %s%s: at most %d, at most %d a second", s.Target, what, part, a.Most, a.Rate)
}

// askTimeout bounds connecting, and each question. A server that takes longer is not well, and must not get more to do.
const askTimeout = 5 * time.Second

// Precheck implements kind.Kind.
func (k Kind) Precheck(ctx context.Context, s *kind.Step) error {
	c, err := cacheOf(s.Request)
	if err != nil {
		return err
	}
	r, err := open(ctx, target(c))
	if err != nil {
		return kind.Unknown("the state of cache "+s.Target, err)
	}
	defer r.Close()
	before, err := r.look(ctx)
	if err != nil {
		return kind.Unknown("the state of cache "+s.Target, err)
	}
	if err := before.fit(); err != nil {
		return err
	}
	a := argsOf(s.Request)
	switch {
	case before.Keys == 0:
		return kind.Needless("cache %s has no keys", s.Target)
	case a.AtOnce && before.Keys > int64(a.Most):
		return kind.Refuse("cache %s has %d keys, more than the %d that may go at once", s.Target, before.Keys, a.Most)
	}
	s.Before, s.Shared = before, !c.Private
	s.Detail = before.lines()
	return nil
}

// Act implements kind.Kind.
func (k Kind) Act(ctx context.Context, s *kind.Step) error {
	before := s.Before.(state)
	r, err := open(ctx, before.Server)
	if err != nil {
		return fmt.Errorf("nothing was done: %w", err)
	}
	defer r.Close()
	a := argsOf(s.Request)
	if a.AtOnce {
		err = r.flush(ctx)
	} else {
		err = k.sweep(ctx, r, s)
	}
	after, lookErr := r.look(ctx)
	if lookErr != nil {
		after = state{Server: before.Server} // it is done; only the evidence is missing
	}
	after.Removed, after.End = r.removed, r.end
	s.After = after
	return err
}

// Settle implements kind.Kind: the server counts how often keys were removed from it.
func (Kind) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	var was state
	if err := json.Unmarshal(a.Before, &was); err != nil {
		return incident.Unknown, "there is no evidence from before"
	}
	r, err := open(ctx, was.Server)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	defer r.Close()
	now, err := r.look(ctx)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	return was.became(now)
}

// Quiet implements kind.Kind: nothing goes on that no agent asks for.
func (Kind) Quiet(*incident.Attempt) bool { return true }
