package enroll

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/agentpb"
)

// Pauses of renewing.
const (
	leastPause = 100 * time.Millisecond
	mostPause  = time.Hour
	mostJitter = 2 * time.Hour
	latePause  = time.Minute // once it is too late, and only a person can help
	lookEvery  = 5 * time.Second
)

// Ask gets a certificate for a request.
type Ask func(ctx context.Context, request []byte) (*agentpb.Issued, error)

// Renewer keeps a certificate from ending. All but Now is mandatory.
type Renewer struct {
	Store *credential.Store // its Files say where the next one goes
	Ask   Ask
	Help  string // what a person does when it is too late
	Log   hclog.Logger
	Now   func() time.Time // nil: the wall clock, which certificates go by

	problem atomic.Pointer[string] // why the last try failed, nil: none did
}

// Nodes asks nodes of the controller, one after the other, by showing the certificate that is to be renewed.
func Nodes(lines *transport.Transport, addresses func() []string) Ask {
	return func(ctx context.Context, request []byte) (*agentpb.Issued, error) {
		return ask(ctx, lines, addresses(), func(ctx context.Context, c agentpb.EnrollmentClient) (*agentpb.Issued, error) {
			a, err := c.Renew(ctx, &agentpb.RenewRequest{Request: request})
			return a.GetIssued(), err
		})
	}
}

// Problem is why the certificate is not renewed although it is time, "": nothing is wrong.
func (r *Renewer) Problem() string {
	if p := r.problem.Load(); p != nil {
		return *p
	}
	return ""
}

// Run renews at two thirds of the certificate's life, with jitter, so that a fleet does not come at once, and again and
// again until it works, until ctx ends.
func (r *Renewer) Run(ctx context.Context) error {
	if r.Now == nil {
		r.Now = clock.Wall
	}
	failed := 0
	for {
		changed := r.Store.Changed()
		if !r.pause(ctx, r.wait(failed), changed) {
			return nil
		}
		if !r.due() { // somebody else put another file there, or the clock was set
			failed = 0
			r.problem.Store(nil)
			continue
		}
		if err := r.renew(ctx); err != nil {
			failed++
			r.complain(err)
			continue
		}
		failed = 0
		r.problem.Store(nil)
	}
}

// pause lets d go by, on this machine's timer or on the wall clock, whichever is first: a machine that slept has gone
// on by the wall clock only. It ends early when the certificate is another one, which may not live so long. It reports
// whether ctx goes on.
func (r *Renewer) pause(ctx context.Context, d time.Duration, changed <-chan struct{}) bool {
	until := r.Now().Add(d)
	for d > 0 && r.Now().Before(until) {
		step := min(d, lookEvery)
		timer := time.NewTimer(step)
		select {
		case <-timer.C:
		case <-changed:
			timer.Stop()
			return true
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		d -= step
	}
	return ctx.Err() == nil
}

// due reports whether it is time. A certificate that is not valid yet was made while a clock was wrong.
func (r *Renewer) due() bool {
	c, now := r.Store.Current(), r.Now()
	return !now.Before(c.Due()) || now.Before(c.Leaf.NotBefore)
}

// wait is until the next try. Not everything can wait to the end of a life that may be short: pauses are a share of
// what is left.
func (r *Renewer) wait(failed int) time.Duration {
	c, now := r.Store.Current(), r.Now()
	left := c.Leaf.NotAfter.Sub(now)
	if failed == 0 {
		if now.Before(c.Leaf.NotBefore) {
			return spread(latePause)
		}
		jitter := min(c.Leaf.NotAfter.Sub(c.Due())/5, left/5, mostJitter)
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
	c, text := r.Store.Current(), err.Error()
	before := r.problem.Swap(&text)
	switch {
	case c.Expired(r.Now()):
		r.Log.Error("the certificate has ended", "since", c.Leaf.NotAfter, "error", err, "help", r.Help)
	case before == nil:
		r.Log.Warn("cannot renew the certificate yet", "until", c.Leaf.NotAfter, "error", err, "help", r.Help)
	}
}

// renew gets one certificate, for a new key.
func (r *Renewer) renew(ctx context.Context) error {
	key, request, err := newRequest()
	if err != nil {
		return err
	}
	issued, err := r.Ask(ctx, request)
	if err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	if err := keep(r.Store.Files().Next(), r.Store.Current().Name, key, issued); err != nil {
		return err
	}
	changed, err := r.Store.Reload()
	if err == nil && !changed {
		err = errors.New("renew certificate: the new one is the old one")
	}
	return err
}
