package access

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/salveops/salve/controller/internal/state"
)

// endsEvery is how long a certificate may have ended before its connections and streams do.
const endsEvery = time.Second

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
	ctx, cut := context.WithCancelCause(ctx)
	x := &visitor{c, cut}
	g.open.add(x)
	if !g.still(c) { // shut out between the gate and here
		cut(errCut)
	}
	return ctx, func() {
		g.open.remove(x)
		cut(nil)
	}
}

// version tells whether somebody was shut out.
func (g *Gate) version() (at uint64) {
	g.o.Replica.View(func(st *state.State) { at = st.ShutOut() })
	return at
}

// Run cuts the streams and connections of those who were shut out, as soon as this node has heard of it, and of those
// whose certificate has ended, until ctx ends. Ends are looked at and not waited for: the clock may be set.
func (g *Gate) Run(ctx context.Context) error {
	ticker := time.NewTicker(endsEvery)
	defer ticker.Stop()
	for version := uint64(0); ; {
		changed := g.o.Replica.Changed()
		if now := g.version(); now != version {
			version = now
			g.cut(func(c Caller) bool { return !g.still(c) })
		}
		select {
		case <-changed:
		case <-ticker.C:
			g.cut(g.ended)
		case <-ctx.Done():
			return nil
		}
	}
}

// cut ends what is open of those who have to go.
func (g *Gate) cut(has func(Caller) bool) {
	for _, x := range g.open.list() {
		if has(x.caller) {
			g.log.Info("cut", "caller", x.caller.Name.Short(), "known by", string(x.caller.How), "until", x.caller.Until)
			x.cut(errCut)
		}
	}
}
