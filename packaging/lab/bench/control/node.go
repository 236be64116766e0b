package control

import (
	"context"
	"fmt"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// node is one process of a store, which can be killed and started again with its data.
type node struct {
	*rig.Process
	log string // file
}

// newNode describes a node; nothing is started.
func newNode(argv []string, log string) *node {
	return &node{Process: rig.NewProcess(argv, log), log: log}
}

// alive reports whether it runs.
func (n *node) alive() bool { return n.PID() != 0 }

// freeze stops it for d: nothing of it runs, and its connections stay.
func (n *node) freeze(ctx context.Context, d time.Duration) error {
	if err := n.Freeze(); err != nil {
		return err
	}
	wait(ctx, d)
	return n.Thaw()
}

// cpu is the processor time of nodes together.
func cpu(all []*node) (time.Duration, error) {
	var sum time.Duration
	for _, p := range all {
		d, err := rig.CPU(p.PID())
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// end ends all that run. Their data goes away, so they need not tidy up.
func end(all []*node) {
	for _, p := range all {
		if p.alive() {
			_ = p.Kill()
		}
	}
}

// wait returns after d, or at once when ctx ends; the caller's next step notices that.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// poll asks until it is true, for at most readyTime.
func poll(ctx context.Context, what string, ok func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for !ok(ctx) {
		wait(ctx, 10*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		}
	}
	return nil
}

const (
	readyTime   = 60 * time.Second // for nodes to come up, elect a leader or catch up
	connectTime = 5 * time.Minute  // for thousands of agents to be welcome
)
