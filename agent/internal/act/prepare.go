package act

import (
	"context"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/remedy"
)

// Prepare checks a request against the host as it is now and changes nothing. A *kind.Refusal says why it
// must not run.
func (r *Runner) Prepare(ctx context.Context, q kind.Request) (Plan, error) {
	s, k, err := r.check(ctx, q)
	if err != nil {
		return Plan{}, err
	}
	return Plan{
		Kind: q.Remedy.Kind, Target: s.Target, Locks: locksFor(s), Text: k.Describe(s), Detail: s.Detail,
		Disruptive: s.Disruptive, Shared: s.Shared, request: q,
	}, nil
}

// locksFor are the locks of the remedy, and that of its target under the name that it really has, if that is no name within
// a service.
func locksFor(s *kind.Step) []remedy.Lock {
	locks := s.Remedy.Locks(s.Unit)
	if spec, _ := remedy.Lookup(string(s.Remedy.Kind)); !spec.Target.OfService() {
		locks = append(locks, remedy.LockOn(spec.Target, s.Target))
	}
	return remedy.Locks(locks...)
}

// check is everything that must hold before an action. Run asks it again: between Prepare and Run
// people stop units and configurations are reloaded.
func (r *Runner) check(ctx context.Context, q kind.Request) (*kind.Step, kind.Kind, error) {
	if q.Remedy == nil {
		return nil, nil, kind.Refuse("the request names no remedy")
	}
	k := r.kinds[q.Remedy.Kind]
	spec, known := remedy.Lookup(string(q.Remedy.Kind))
	if k == nil || !known || q.Remedy.Args == nil {
		return nil, nil, kind.Refuse("this agent has no remedy of the kind %q", q.Remedy.Kind)
	}
	target, err := k.Target(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	if err := r.allowed(q.Remedy.Kind, target); err != nil {
		return nil, nil, err
	}
	s := &kind.Step{Request: q, Target: target}
	s.Disruptive, s.Shared = spec.Risk(q.Remedy.Args)
	if err := k.Precheck(ctx, s); err != nil {
		return nil, nil, err
	}
	return s, k, nil
}
