package scale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/agent/internal/act/backend"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// servers finds the server of each instance that is to be changed, by its number; none without a balancer, and none of an
// instance whose server takes no requests because people want it so.
//
//	stop:  drain ─► sessions end, or wait is over ─► stop the instance
//	start: start the instance ─► HAProxy finds it healthy ─► ready, if it is drained
//	             └── agent died between: the next one takes it back, so that none is left drained that runs
func (k Kind) servers(ctx context.Context, q kind.Request, verb remedy.Kind, chosen []int) (map[int]*backend.Server, error) {
	a := argsOf(q)
	if a.Balancer == "" {
		return nil, nil
	}
	p := balancer(q)
	switch {
	case p == nil:
		return nil, kind.Refuse("the service has no pool %q of a HAProxy", a.Balancer)
	case !k.Allowed(remedy.ResetPool, a.Balancer):
		return nil, kind.Refuse("no allow block of this host permits reset_pool on %s, whose servers are to be drained", a.Balancer)
	}
	all, err := backend.Server{Socket: p.HAProxy, Backend: p.Backend}.Look(ctx)
	if err != nil {
		return nil, kind.Unknown("the servers of pool "+a.Balancer, err)
	}
	up := 0
	for _, s := range all {
		if s.Up() {
			up++
		}
	}
	found, cut := map[int]*backend.Server{}, 0
	for _, n := range chosen {
		at := &backend.Server{Socket: p.HAProxy, Backend: p.Backend, Name: a.ServerOf(n)}
		own, _ := all.Split(at.Name)
		switch {
		case own == nil:
			return nil, kind.Refuse("backend %s has no server %q for %s", at.Backend, at.Name, a.Instance(n))
		case verb == remedy.Start && own.Admin&backend.ForcedMaint != 0:
			return nil, kind.Refuse("server %s is in maintenance: a person wants it so", at)
		case verb == remedy.Stop && own.Admin != 0:
			continue
		case verb == remedy.Stop && own.Up():
			cut++
		}
		found[n] = at
	}
	if cut > 0 && cut == up {
		return nil, kind.Refuse("no server of backend %s would take requests any more", p.Backend)
	}
	return found, nil
}

func balancer(q kind.Request) *config.Pool {
	if q.Remedy.Service != nil {
		for _, p := range q.Remedy.Service.Pools {
			if p.Name == argsOf(q).Balancer && p.HAProxy != "" {
				return p
			}
		}
	}
	return nil
}

// errDrained says that a server may be drained whose instance runs.
var errDrained = errors.New("it may be drained until HAProxy answers again")

// readyWithin is how long it is tried to make a server ready that was drained in vain.
const readyWithin = 3 * time.Second

// out takes a server out of service, and waits for its sessions to end. One that takes no requests is left alone. An error
// says that its instance must not be stopped; errDrained, that it is drained all the same.
func out(ctx context.Context, s *kind.Step, at *backend.Server, wait time.Duration) error {
	all, err := at.Look(ctx)
	if err != nil {
		return fmt.Errorf("drain server %s: %w", at, err)
	}
	if own, _ := all.Split(at.Name); own == nil || !own.Up() {
		return nil
	}
	if err = at.Put(ctx, "drain"); err == nil {
		_, err = at.Empties(ctx, s, wait)
	}
	if err != nil {
		return ready(ctx, at, fmt.Errorf("drain server %s: %w", at, err))
	}
	return nil
}

// ready puts a server back into service because of that error, whatever has become of ctx.
func ready(ctx context.Context, at *backend.Server, because error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWithin)
	defer cancel()
	if !kind.Eventually(ctx, 100*time.Millisecond, func() bool { return at.Restore(ctx, backend.ForcedDrain) == nil }) {
		return fmt.Errorf("%w; %w", because, errDrained)
	}
	return because
}

// in makes the server of an instance that was started ready, once HAProxy finds it healthy. errDrained says that nobody knows.
func in(ctx context.Context, at *backend.Server, wait time.Duration) error {
	inner, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	well, err := healthy(ctx, inner, at)
	if err == nil && !well {
		return fmt.Errorf("its server %s is not healthy after %s", at, wait)
	}
	if err == nil {
		err = at.Restore(ctx, backend.ForcedDrain)
	}
	if err != nil {
		return fmt.Errorf("take in server %s: %w; %w", at, err, errDrained)
	}
	return nil
}

// healthy waits until HAProxy finds the server to be so, or wait ends. An error says that it did not answer at the end.
func healthy(ctx, wait context.Context, at *backend.Server) (well bool, err error) {
	kind.Eventually(wait, 50*time.Millisecond, func() bool {
		all, fault := at.Look(ctx) // which says less if it is cut short
		own, _ := all.Split(at.Name)
		well, err = own != nil && own.Running, fault
		return well
	})
	return well, err
}

// half reports whether the agent may have died between the two halves of a part: its server is drained and its instance runs.
func half(ctx context.Context, verb remedy.Kind, p part, phase incident.Phase) bool {
	down := incident.Acted
	if verb == remedy.Start {
		down = incident.NotDone
	}
	if p.Server == nil || phase == down {
		return false
	}
	drained, err := p.Server.Out(ctx, backend.ForcedDrain)
	return drained || err != nil
}
