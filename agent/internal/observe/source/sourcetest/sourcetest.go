// Package sourcetest runs groups of sources in tests, and looks at what they deliver.
package sourcetest

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
)

// Round is one delivered batch, by series; unknown values are absent, and NaN stands for one that is idle.
type Round map[string]float64

// Watched is a group that runs until the end of its test.
type Watched[T any] struct {
	*source.Group[T]
	Rounds chan Round // what nobody takes in time is lost
	t      testing.TB
}

// Watch runs what open makes, with those targets.
func Watch[T any](t testing.TB, open func(source.Options) *source.Group[T], targets ...T) *Watched[T] {
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	w := &Watched[T]{t: t, Rounds: make(chan Round, 64)}
	w.Group = open(source.Options{Clock: c, Log: hclog.NewNullLogger(), Book: source.NewBook(), Deliver: w.deliver})
	w.SetTargets(targets)
	Run(t, w.Group)
	return w
}

func (w *Watched[T]) deliver(b *source.Batch) {
	r := Round{}
	for _, s := range b.Samples {
		switch {
		case s.Known:
			r[s.Handle.Key.String()] = s.Value
		case s.Idle:
			r[s.Handle.Key.String()] = math.NaN()
		}
	}
	b.Release()
	select {
	case w.Rounds <- r:
	default: // nobody looks any more
	}
}

// Run runs a group until the end of the test.
func Run[T any](t testing.TB, g *source.Group[T]) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		g.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// Until waits for a round for which ok holds, for at most 20 seconds.
func (w *Watched[T]) Until(what string, ok func(Round) bool) {
	w.t.Helper()
	w.While(20*time.Second, what, func() {}, ok)
}

// While does something before each look at a round, until ok holds for one.
func (w *Watched[T]) While(timeout time.Duration, what string, do func(), ok func(Round) bool) {
	w.t.Helper()
	over, last := time.After(timeout), Round{}
	for {
		do()
		select {
		case last = <-w.Rounds:
			if ok(last) {
				return
			}
		case <-over:
			w.t.Fatalf("not seen: %s; last %v, %+v", what, last, w.Stats())
		}
	}
}
