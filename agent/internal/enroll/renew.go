package enroll

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/agentpb"
)

// Pauses of renewing.
const (
	leastPause = 100 * time.Millisecond
	mostPause  = time.Hour
	latePause  = time.Minute // once it is too late, and only a person can help
	lookEvery  = 5 * time.Second
)

// Renewer keeps a certificate from ending.
type Renewer struct {
	Store     *credential.Store // one file, which Enroll wrote
	Lines     *transport.Transport
	Addresses []string
	Log       hclog.Logger
	Now       func() time.Time // nil: the wall clock, which certificates go by

	warned bool
}

// Run renews at two thirds of the certificate's life, with jitter, so that a fleet does not come at once, and again and
// again until it works, until ctx ends.
func (r *Renewer) Run(ctx context.Context) error {
	if r.Now == nil {
		r.Now = clock.Wall
	}
	failed := 0
	for {
		if !r.pause(ctx, r.wait(failed)) {
			return nil
		}
		if r.Now().Before(r.Store.Current().Due()) { // somebody else put another file there, or the clock was set
			failed = 0
			continue
		}
		if err := r.renew(ctx); err != nil {
			failed++
			r.complain(err)
			continue
		}
		failed, r.warned = 0, false
	}
}

// pause lets d go by, on this machine's timer or on the wall clock, whichever is first: a machine that slept has gone
// on by the wall clock only. It reports whether ctx goes on.
func (r *Renewer) pause(ctx context.Context, d time.Duration) bool {
	until := r.Now().Add(d)
	for d > 0 && r.Now().Before(until) {
		step := min(d, lookEvery)
		timer := time.NewTimer(step)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		d -= step
	}
	return ctx.Err() == nil
}

// wait is until the next try. Not everything can wait to the end of a life that may be short: pauses are a share of
// what is left.
func (r *Renewer) wait(failed int) time.Duration {
	c, now := r.Store.Current(), r.Now()
	left := c.Leaf.NotAfter.Sub(now)
	if failed == 0 {
		jitter := min(c.Leaf.NotAfter.Sub(c.Due()), left) / 5
		return min(max(0, c.Due().Sub(now)), mostPause) + spread(max(1, jitter))
	}
	pause := min(max(leastPause, left/20), mostPause)
	if left <= 0 {
		pause = latePause
	}
	return pause/2 + spread(pause)
}

func spread(d time.Duration) time.Duration { return rand.N(d) }

// complain says once what is wrong, and again when it is too late.
func (r *Renewer) complain(err error) {
	c := r.Store.Current()
	switch {
	case c.Expired(r.Now()):
		r.Log.Error("the certificate of this host has ended; it has to enrol again, with a token of "+
			"salve enroll token --host", "since", c.Leaf.NotAfter, "error", err)
	case !r.warned:
		r.warned = true
		r.Log.Warn("cannot renew the certificate yet", "until", c.Leaf.NotAfter, "error", err)
	}
}

// renew gets one certificate, for a new key.
func (r *Renewer) renew(ctx context.Context) error {
	name := r.Store.Current().Name
	if name.Kind != identity.Host {
		return fmt.Errorf("renew certificate: %s is no host", name.Short())
	}
	key, request, err := newRequest()
	if err != nil {
		return err
	}
	issued, err := ask(ctx, r.Lines, r.Addresses, func(ctx context.Context, c agentpb.EnrollmentClient) (*agentpb.Issued,
		error) {
		a, err := c.Renew(ctx, &agentpb.RenewRequest{Request: request})
		return a.GetIssued(), err
	})
	if err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	if err := keep(r.Store.Files().Key, name.ID, key, issued); err != nil {
		return err
	}
	changed, err := r.Store.Reload()
	if err == nil && !changed {
		err = errors.New("renew certificate: the new one is the old one")
	}
	return err
}
