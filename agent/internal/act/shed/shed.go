// Package shed is the kind of remedy that, in an emergency, stops, freezes or throttles the unit that uses most among those that were
// declared to be dispensable.
package shed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Kind sheds load. Make it with New.
type Kind struct {
	*kind.Host
	ways map[string]kind.Kind // by which it is done, by the name of the argument "how"

	mu   sync.Mutex
	last *choice // by which Target chose, until Precheck has it: a look at the CPU takes its time
}

// New prepares the kind; units is what it stops, freezes and throttles with.
func New(h *kind.Host, units unit.Units) *Kind {
	return &Kind{Host: h, ways: map[string]kind.Kind{
		remedy.HowStop: unit.Stopper{Units: units}, remedy.HowFreeze: unit.Freezer{Units: units},
		remedy.HowThrottle: unit.Limiter{Units: units},
	}}
}

// record is what taking back and settling need: what the kind by which it was done left for it.
type record struct {
	How    string          `json:"how"`
	Before json.RawMessage `json:"before"`
	Undo   json.RawMessage `json:"undo"`
}

// evidence is why it was this one.
type evidence struct {
	What string `json:"what"` // in words: what is done, with what it takes along
	Why  string `json:"why"`  // who uses how much
}

func argsOf(q kind.Request) *remedy.ShedArgs { return q.Remedy.Args.(*remedy.ShedArgs) }

// part is the step of that kind.
func part(s *kind.Step) *kind.Step {
	a := argsOf(s.Request)
	if a.How == remedy.HowThrottle {
		return s.Part(remedy.SetProperty, s.Target, &remedy.PropertyArgs{
			UnitArgs: remedy.UnitArgs{Unit: s.Target}, Properties: a.Properties(), Runtime: true})
	}
	return s.Part(remedy.Shed, s.Target, &remedy.UnitArgs{Unit: s.Target})
}

// Target implements kind.Kind: it is the victim.
func (k *Kind) Target(ctx context.Context, q kind.Request) (string, error) {
	c, err := k.choose(ctx, q)
	if err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = c
	return c.victim, nil
}

// chosen is the choice by which the step got its target.
func (k *Kind) chosen(ctx context.Context, s *kind.Step) (*choice, error) {
	k.mu.Lock()
	c := k.last
	k.last = nil
	k.mu.Unlock()
	if c != nil && c.remedy == s.Remedy && c.victim == s.Target {
		return c, nil
	}
	c, err := k.choose(ctx, s.Request) // another request came in between
	if err == nil && c.victim != s.Target {
		err = kind.Postpone("now %s uses most: %s", c.victim, c.why)
	}
	return c, err
}

// Describe implements kind.Kind.
func (*Kind) Describe(s *kind.Step) string {
	e := s.Before.(evidence)
	return fmt.Sprintf("%s for %s, since %s", e.What, s.For, e.Why)
}

// Precheck implements kind.Kind.
func (k *Kind) Precheck(ctx context.Context, s *kind.Step) error {
	a := argsOf(s.Request)
	c, err := k.chosen(ctx, s)
	if err != nil {
		return err
	}
	p := part(s)
	if err := k.ways[a.How].Precheck(ctx, p); err != nil {
		return err
	}
	s.Before = evidence{What: k.ways[a.How].Describe(p), Why: c.why}
	s.Undo = record{How: a.How, Before: kind.Raw(p.Before), Undo: kind.Raw(p.Undo)}
	s.For, s.Detail = a.For, c.uses
	return nil
}

// Act implements kind.Kind.
func (k *Kind) Act(ctx context.Context, s *kind.Step) error {
	p := part(s)
	defer func() { s.After = p.After }()
	return k.ways[argsOf(s.Request).How].Act(ctx, p)
}

// of is the attempt as the kind sees it by which it was done.
func (k *Kind) of(a *incident.Attempt) (kind.Kind, *incident.Attempt, error) {
	var was record
	if err := json.Unmarshal(a.Undo, &was); err != nil {
		return nil, nil, fmt.Errorf("read what undo needs: %w", err)
	}
	by := k.ways[was.How]
	if by == nil {
		return nil, nil, errors.New("how it was done is not recorded")
	}
	return by, &incident.Attempt{ID: a.ID, Remedy: a.Remedy, Target: a.Target, Before: was.Before, Undo: was.Undo}, nil
}

// Undo implements kind.Kind.
func (k *Kind) Undo(ctx context.Context, a *incident.Attempt) error {
	by, own, err := k.of(a)
	if err != nil {
		return err
	}
	return by.Undo(ctx, own)
}

// Settle implements kind.Kind.
func (k *Kind) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	by, own, err := k.of(a)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	return by.Settle(ctx, own)
}

// Repeatable implements kind.Kind: each way puts a unit into a state, however often.
func (k *Kind) Repeatable() bool { return true }

// Quiet implements kind.Kind.
func (k *Kind) Quiet(a *incident.Attempt) bool { return k.ways[remedy.HowStop].Quiet(a) }
