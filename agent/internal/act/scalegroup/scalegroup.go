// Package scalegroup is the kind of remedy that asks an autoscaler for more instances, or for fewer.
package scalegroup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Kind sets the count of a group:
//
//	read ─► intent ─► read again ─► set, if nobody changed it ─► read until it is so ─► result
//	                                └── answer lost, or agent died: the count itself tells
type Kind struct{}

// New prepares the kind.
func New(*kind.Host) Kind { return Kind{} }

// evidence is the count, before or after.
type evidence struct {
	Count int `json:"count"`
}

// record is what taking back and settling need, whatever the configuration says then.
type record struct {
	group
	From int `json:"from"`
	To   int `json:"to"`
}

func argsOf(q kind.Request) *remedy.GroupArgs { return q.Remedy.Args.(*remedy.GroupArgs) }

// Target implements kind.Kind.
func (Kind) Target(_ context.Context, q kind.Request) (string, error) {
	a := argsOf(q)
	switch {
	case groupOf(q) == nil:
		return "", kind.Refuse("the service has no group %q", a.Group)
	case a.Min < 1 || a.Max < a.Min || a.By == 0 && a.To == 0:
		return "", kind.Refuse("scale_group does not say how many instances there are to be, and how many there may be")
	}
	return a.Group, nil
}

func groupOf(q kind.Request) *config.Group {
	if q.Remedy.Service == nil {
		return nil
	}
	return q.Remedy.Service.Group(argsOf(q).Group)
}

// Describe implements kind.Kind.
func (Kind) Describe(s *kind.Step) string {
	plan := s.Undo.(record)
	return fmt.Sprintf("set the count of group %s from %d to %d", s.Target, plan.From, plan.To)
}

// Precheck implements kind.Kind.
func (Kind) Precheck(ctx context.Context, s *kind.Step) error {
	a, g := argsOf(s.Request), of(groupOf(s.Request))
	now, err := g.read(ctx)
	if err != nil {
		return kind.Unknown("the count of group "+s.Target, err)
	}
	want := a.Want(now.count)
	switch {
	case now.count == 0:
		return kind.Refuse("group %s has no instance: somebody has scaled it to nothing, and it stays so", s.Target)
	case want == now.count && a.By > 0:
		return kind.Needless("group %s has %d instances, and at most %d may be asked for", s.Target, now.count, a.Max)
	case want == now.count && a.By < 0:
		return kind.Needless("group %s has %d instances, and must keep %d", s.Target, now.count, a.Min)
	case want == now.count:
		return kind.Needless("group %s has %d instances already", s.Target, now.count)
	}
	s.Before, s.Undo = evidence{now.count}, record{g, now.count, want}
	s.Disruptive = want < now.count
	return nil
}

// Act implements kind.Kind.
func (Kind) Act(ctx context.Context, s *kind.Step) error {
	plan := s.Undo.(record)
	now, err := plan.change(ctx, plan.From, plan.To)
	if now != nil {
		s.After = evidence{*now}
	}
	if errors.Is(err, errUntouched) {
		s.Undo = nil
	}
	return err
}

// Undo implements kind.Kind.
func (Kind) Undo(ctx context.Context, a *incident.Attempt) error {
	var plan record
	if err := json.Unmarshal(a.Undo, &plan); err != nil {
		return fmt.Errorf("read how many instances there were: %w", err)
	}
	now, err := plan.read(ctx)
	switch {
	case err != nil:
		return err
	case now.count == plan.From:
		return nil
	case now.count != plan.To:
		return kind.Refuse("group %s has %d instances, and not the %d that the remedy asked for: somebody changed that, and it stays so. "+
			"Before the remedy it had %d", a.Target, now.count, plan.To, plan.From)
	}
	_, err = plan.change(ctx, plan.To, plan.From)
	return err
}

// Repeatable implements kind.Kind: the count from before is set, however often.
func (Kind) Repeatable() bool { return true }

// Settle implements kind.Kind: the count tells.
func (Kind) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	var plan record
	if err := json.Unmarshal(a.Undo, &plan); err != nil {
		return incident.Unknown, "how many instances were to be is not recorded"
	}
	now, err := plan.read(ctx)
	switch {
	case err != nil:
		return incident.Unknown, err.Error()
	case now.count == plan.To:
		return incident.Acted, fmt.Sprintf("the count is %d, as was asked for", now.count)
	case now.count == plan.From:
		a.Undo = nil
		return incident.NotDone, fmt.Sprintf("the count is still %d", now.count)
	}
	return incident.Unknown, fmt.Sprintf("the count is %d, neither the %d from before nor the %d that were to be", now.count, plan.From, plan.To)
}

// Quiet implements kind.Kind: nothing of it runs on this host.
func (Kind) Quiet(*incident.Attempt) bool { return true }

// settleWithin is how long the count may take to become what was asked for.
const settleWithin = 2 * time.Second

var errUntouched = errors.New("nothing was done")

// change sets the count if it is from right before. It returns the last count that was read afterwards, nil if none was.
// Errors: errUntouched; kind.ErrLost, when nobody knows; another, when the server takes it, and the count is not so.
func (g group) change(ctx context.Context, from, to int) (*int, error) {
	now, err := g.read(ctx)
	if err == nil && now.count != from {
		err = fmt.Errorf("somebody changed the count from %d to %d meanwhile", from, now.count)
	}
	if err == nil {
		err = g.set(ctx, to, now)
	}
	if err != nil && !errors.Is(err, kind.ErrLost) {
		return nil, fmt.Errorf("%w: %w", errUntouched, err)
	}
	last, is := g.becomes(ctx, to)
	switch {
	case is:
		return last, nil
	case err != nil && last != nil:
		return last, fmt.Errorf("%w; the count is %d", err, *last)
	case err != nil:
		return nil, err
	case last == nil:
		return nil, fmt.Errorf("the server took %d, and its count cannot be read: %w", to, kind.ErrLost)
	}
	return last, fmt.Errorf("the server took %d, and its count is %d: it may have a bound or a rule of its own", to, *last)
}

// becomes waits until the count is so, also when the time of the action is over: what it is has to be known.
func (g group) becomes(ctx context.Context, to int) (last *int, is bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleWithin)
	defer cancel()
	is = kind.Eventually(ctx, 100*time.Millisecond, func() bool {
		now, err := g.read(ctx)
		if err == nil {
			last = &now.count
		}
		return err == nil && now.count == to
	})
	return last, is
}
