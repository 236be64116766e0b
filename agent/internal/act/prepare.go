package act

import (
	"context"

	"github.com/salveops/salve/pkg/remedy"
)

// Prepare checks a request against the host as it is now and changes nothing. A *Refusal says why it
// must not run.
func (r *Runner) Prepare(ctx context.Context, q Request) (Plan, error) {
	s, kind, err := r.check(ctx, q)
	if err != nil {
		return Plan{}, err
	}
	return Plan{
		Kind: q.Remedy.Kind, Target: s.target, Text: kind.describe(s), Disruptive: s.disruptive, Shared: s.shared, request: q,
	}, nil
}

// check is everything that must hold before an action. Run asks it again: between Prepare and Run
// people stop units and configurations are reloaded.
func (r *Runner) check(ctx context.Context, q Request) (*step, action, error) {
	if q.Remedy == nil {
		return nil, nil, refuse("the request names no remedy")
	}
	kind := r.kinds[q.Remedy.Kind]
	spec, known := remedy.Lookup(string(q.Remedy.Kind))
	if kind == nil || !known {
		return nil, nil, refuse("this agent has no remedy of the kind %q", q.Remedy.Kind)
	}
	target, err := kind.target(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	if err := r.allowed(q.Remedy.Kind, target); err != nil {
		return nil, nil, err
	}
	s := &step{Request: q, target: target}
	s.disruptive, s.shared = spec.Risk(q.Remedy.Args)
	if err := kind.precheck(ctx, s); err != nil {
		return nil, nil, err
	}
	return s, kind, nil
}
