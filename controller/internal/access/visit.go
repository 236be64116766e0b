package access

import (
	"context"
	"errors"
	"sync"

	"github.com/salveops/salve/controller/internal/state"
)

// errCut ends a stream whose caller has to go.
var errCut = errors.New("the certificate or token has ended or was revoked")

// visitors are the streams and connections that are open.
type visitors struct {
	mu  sync.Mutex
	all map[*visitor]struct{}
}

// visitor is one of them.
type visitor struct {
	caller Caller
	cut    context.CancelCauseFunc
}

func (v *visitors) init() { v.all = map[*visitor]struct{}{} }

func (v *visitors) add(x *visitor) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all[x] = struct{}{}
}

func (v *visitors) remove(x *visitor) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.all, x)
}

func (v *visitors) list() []*visitor {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := make([]*visitor, 0, len(v.all))
	for x := range v.all {
		out = append(out, x)
	}
	return out
}

// stay notes a stream, whose context ends when its caller has to go.
func (g *Gate) stay(ctx context.Context) (context.Context, func()) {
	c, _ := Of(ctx)
	if c.How == ByNothing || c.How == "" {
		return ctx, func() {}
	}
	stop := func() {}
	if c.How == ByCertificate { // a token ends by log time, which says so
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Until.Sub(g.o.Now()), errCut)
		stop = cancel
	}
	ctx, cut := context.WithCancelCause(ctx)
	x := &visitor{c, cut}
	g.open.add(x)
	if !g.still(c) { // shut out between the gate and here
		cut(errCut)
	}
	return ctx, func() {
		g.open.remove(x)
		cut(nil)
		stop()
	}
}

// version tells whether somebody was shut out.
func (g *Gate) version() (at uint64) {
	g.o.Replica.View(func(st *state.State) { at = st.ShutOut() })
	return at
}

// Run cuts the streams of those who were shut out, as soon as this node has heard of it, until ctx ends.
func (g *Gate) Run(ctx context.Context) error {
	for version := uint64(0); ; {
		changed := g.o.Replica.Changed()
		if now := g.version(); now != version {
			version = now
			for _, x := range g.open.list() {
				if !g.still(x.caller) {
					g.log.Info("cut", "caller", x.caller.Name.Short(), "known by", string(x.caller.How))
					x.cut(errCut)
				}
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}
