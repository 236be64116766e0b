package controllertest

import (
	"testing"
	"time"
)

// three is a cluster with three hosts of one service, each of which knows of the others.
func three(t *testing.T) (c *Cluster, h1, h2, h3 *Host) {
	c = New(t, 3)
	h1, h2, h3 = c.Host("h1", "web"), c.Host("h2", "web"), c.Host("h3", "web")
	ready(c, h1, h2, h3)
	return c, h1, h2, h3
}

// ready waits until everybody has a session, and nobody may act alone any more.
func ready(c *Cluster, hosts ...*Host) {
	for _, h := range hosts {
		c.Eventually("it has a session", h.Live)
	}
	c.Eventually("nobody may act alone", func() bool { return len(c.Counted("web")) == 0 })
}

// One at a time, and the next one when it is over: over real Raft and real gRPC.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	c, h1, h2, _ := three(t)
	first := h1.Ask("web").Acts()
	h2.Ask("web").Refused("cap")
	first.Over().Becomes("serving")
	c.Eventually("it is settled", func() bool { return c.Permits() == 0 })
	h2.Ask("web", Lasts(time.Second)).Becomes("serving")
}
