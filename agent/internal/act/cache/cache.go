// Package cache is the kind of remedy that makes caches forget, a few keys at a time.
package cache

import (
	"context"
	"encoding/json"
	"fmt"

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
	if was, ok := s.Before.(evidence); ok && was.Redis != nil && was.Redis.Cluster {
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

// source is one sort of cache. What it finds out before goes to disk with the intent, and comes back from there after a crash.
type source interface {
	// check is Precheck: it fills in what is known from before, and the step's Detail.
	check(ctx context.Context, s *kind.Step, own string) error
	// clear is Act, and gives what is known after.
	clear(ctx context.Context, r *run) (evidence, error)
	// settle is Settle.
	settle(ctx context.Context, own string) (incident.Phase, string)
}

// evidence is what a cache was like, before or after. Exactly one of the first is set.
type evidence struct {
	Redis     *state `json:"redis,omitempty"`
	Memcached *items `json:"memcached,omitempty"`
	Nginx     *files `json:"nginx,omitempty"`
	Purge     *pages `json:"purge,omitempty"`
	result
}

func before(c *config.Cache) evidence {
	switch {
	case c.Memcached != "":
		return evidence{Memcached: &items{Address: c.Memcached}}
	case c.Nginx != "":
		return evidence{Nginx: &files{Folder: c.Nginx}}
	case c.Purge != "":
		return evidence{Purge: purged(c)}
	}
	return evidence{Redis: &state{Server: target(c)}}
}

// source is nil of none.
func (e evidence) source() source {
	switch {
	case e.Redis != nil:
		return e.Redis
	case e.Memcached != nil:
		return e.Memcached
	case e.Nginx != nil:
		return e.Nginx
	case e.Purge != nil:
		return e.Purge
	}
	return nil
}

// Precheck implements kind.Kind.
func (k Kind) Precheck(ctx context.Context, s *kind.Step) error {
	c, err := cacheOf(s.Request)
	if err != nil {
		return err
	}
	was := before(c)
	s.Before, s.Shared = was, !c.Private
	return was.source().check(ctx, s, k.Data)
}

// Act implements kind.Kind.
func (k Kind) Act(ctx context.Context, s *kind.Step) error {
	r := k.begin(s)
	after, err := s.Before.(evidence).source().clear(ctx, r)
	after.result = r.result
	s.After = after
	return err
}

// Settle implements kind.Kind.
func (k Kind) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	var was evidence
	if err := json.Unmarshal(a.Before, &was); err != nil || was.source() == nil {
		return incident.Unknown, "there is no evidence from before"
	}
	return was.source().settle(ctx, k.Data)
}

// Quiet implements kind.Kind: nothing goes on that no agent asks for.
func (Kind) Quiet(*incident.Attempt) bool { return true }
