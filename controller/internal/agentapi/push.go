package agentapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Bounds of pushing.
const (
	maxPushes = 64                    // at a time; one that is stuck ends its session
	pushRest  = 10 * time.Millisecond // between two looks, at least
	pushMost  = time.Second           // and at most: as long as the look took, so that others get their turn
)

// pushed is what a session was told last.
type pushed struct {
	index uint64 // of the orders
	sum   []byte // of everything in them but the index
}

// States of a session's push: at most one goroutine is at it.
const (
	pushIdle int32 = iota
	pushBusy
	pushAgain // and once more after that
)

// pushAll tells every session what binds its host now, whenever that changes, until ctx ends.
func (s *Server) pushAll(ctx context.Context) {
	slots := make(chan struct{}, maxPushes)
	var standing uint64
	var generation string
	for {
		changed := s.o.Replica.Changed()
		now, current := uint64(0), ""
		s.o.Replica.View(func(st *state.State) { now, current = st.Standing(), st.Generation() })
		begun := time.Now()
		if now != standing || current != generation {
			standing, generation = now, current
			if !s.pushSome(ctx, slots) {
				return
			}
		}
		rest := min(max(pushRest, time.Since(begun)), pushMost)
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rest):
		}
	}
}

// pushSome looks at every session and pushes where something has changed.
func (s *Server) pushSome(ctx context.Context, slots chan struct{}) bool {
	all := s.sessions.all()
	stale := make([]*session, 0, len(all))
	s.o.Replica.View(func(st *state.State) {
		for _, x := range all {
			if st.StandingVersion(x.host) != x.version.Load() || x.void(st) != nil {
				stale = append(stale, x)
			}
		}
	})
	for _, x := range stale {
		if !x.pushes.CompareAndSwap(pushIdle, pushBusy) {
			x.pushes.CompareAndSwap(pushBusy, pushAgain)
			if x.pushes.Load() != pushIdle || !x.pushes.CompareAndSwap(pushIdle, pushBusy) {
				continue
			}
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return false
		}
		go func() {
			defer func() { <-slots }()
			for again := true; again; again = !x.pushes.CompareAndSwap(pushBusy, pushIdle) {
				x.pushes.Store(pushBusy)
				if x.push() != nil { // which ends the session, as its reader sees
					return
				}
			}
		}()
	}
	return true
}

// void says why the session does not count any more, nil if it does.
func (x *session) void(s *state.State) *agentpb.ConnectResponse {
	h := s.Host(x.host)
	switch {
	case h.GetRemoved():
		return turnedAway("removed", "this host was removed; its ID stays dead, the machine must enrol anew")
	case h.GetQuarantined() != "":
		return turnedAway("quarantined", h.GetQuarantined())
	case s.Generation() != x.generation:
		return turnedAway("generation", "a new generation has begun; say hello again")
	case h.GetEpoch() != x.epoch:
		return turnedAway("superseded", "a newer session of this host has begun")
	}
	return nil
}

// push tells the host what binds it, unless it was told the same. A session that does not count any more ends.
func (x *session) push() error {
	x.pushing.Lock()
	defer x.pushing.Unlock()
	var orders *agentpb.Standing
	var last *agentpb.ConnectResponse
	next, version := pushed{}, uint64(0)
	must := x.standing.sum == nil
	x.server.o.Replica.View(func(s *state.State) {
		if last = x.void(s); last != nil {
			return
		}
		orders, version = s.StandingOrders(x.host), s.StandingVersion(x.host)
		must = must || waits(s.Host(x.host), x.standing.index)
	})
	if last != nil {
		x.end(last)
		return errEnded
	}
	x.version.Store(version)
	next.index, next.sum = orders.GetIndex(), sum(orders)
	if !must && bytes.Equal(next.sum, x.standing.sum) {
		return nil
	}
	x.standing = next
	return x.send(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Standing{Standing: orders}})
}

// waits reports whether the log waits for the host to confirm newer orders than it was told: a right that was
// given and taken back in between changes nothing in them, and counts until it is confirmed.
func waits(h *logpb.Host, told uint64) bool {
	for _, s := range h.GetServices() {
		if s.GetSole() == logpb.Sole_SOLE_WITHDRAWN && s.GetWithdrawn() > told {
			return true
		}
	}
	return false
}

// sum is over what the orders say.
func sum(o *agentpb.Standing) []byte {
	index := o.GetIndex()
	o.Index = 0
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(o)
	o.Index = index
	if err != nil {
		return nil // then they are sent
	}
	h := sha256.Sum256(b)
	return h[:]
}
