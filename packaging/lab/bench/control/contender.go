package control

import (
	"context"
	"fmt"
	"time"

	"github.com/salveops/salve/packaging/lab/load"
	"github.com/salveops/salve/packaging/lab/rig"
)

// Names of the contenders in the report.
const (
	nameSalve = "Salve"
	nameFast  = "Salve, fast profile"
	nameEtcd  = "etcd"
)

// contender is a replicated store under test. One of them runs at a time; each start is with empty data.
type contender interface {
	name() string
	// start brings up n nodes and returns when they have a leader that all follow.
	start(ctx context.Context, n int) error
	// stop ends all nodes and throws their data away.
	stop()
	nodes() []*node
	// reign is which node leads and in which term, as the node itself says.
	reign(ctx context.Context) (reign, error)
	// index is that of a node's last entry in the log.
	index(ctx context.Context, node int) (uint64, error)
	// follows reports whether a node knows a leader.
	follows(ctx context.Context, node int) bool
	// callers are n callers that are connected. Numbers must not fall from one call to the next.
	callers(ctx context.Context, n int) ([]load.Caller, error)
	// stand connects one caller that will not let a lost leader keep it from trying.
	stand(ctx context.Context) error
	// next lets that caller do one operation right after node dead, which led, was killed, and says how long
	// after since it was committed.
	next(ctx context.Context, dead int, since time.Time) (time.Duration, error)
	// check is an error if something happened that makes the figures worthless.
	check() error
}

// reign is a leader and its term.
type reign struct {
	node int
	term uint64
}

// perConn is how many callers share one TCP connection, with every contender. It is what a controller takes.
const perConn = 256

// commandSize is the size of a command in bytes, with every contender.
const commandSize = 200

// awaitLeader waits until there is a leader that all nodes follow.
func awaitLeader(ctx context.Context, c contender) error {
	err := poll(ctx, "all nodes follow a leader", func(ctx context.Context) bool {
		if _, err := c.reign(ctx); err != nil {
			return false
		}
		for i, p := range c.nodes() {
			if !p.alive() || !c.follows(ctx, i) {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", c.name(), err, logs(c.nodes()))
	}
	return nil
}

// ruler is the reign that there is, or that comes of an election under way.
func ruler(ctx context.Context, c contender) (reign, error) {
	if err := awaitLeader(ctx, c); err != nil {
		return reign{}, err
	}
	var r reign
	err := poll(ctx, "a node leads", func(ctx context.Context) bool {
		var err error
		r, err = c.reign(ctx)
		return err == nil
	})
	return r, err
}

// logs are the last lines of each node.
func logs(all []*node) string {
	text := ""
	for i, p := range all {
		text += fmt.Sprintf("node %d (runs: %t): …\n%s\n", i, p.alive(), rig.LastLines(p.log, 10))
	}
	return text
}
