package controllertest

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/salveops/salve/controller/internal/agentapi"
	"github.com/salveops/salve/controller/internal/arbiter"
	"github.com/salveops/salve/controller/internal/fsm"
	"github.com/salveops/salve/controller/internal/node"
	"github.com/salveops/salve/controller/internal/node/nodetest"
	"github.com/salveops/salve/controller/internal/notify"
	sender "github.com/salveops/salve/pkg/notify"
	"github.com/salveops/salve/proto/logpb"
)

// Node is one controller of a cluster: the product's own parts, on a disk and a network that fail when they are
// told to.
type Node struct {
	Name  string
	Store *nodetest.MemStore // fills up, stalls, and loses what was not written in a crash

	c      *Cluster
	clock  *nodeClock
	snaps  *nodetest.MemSnapshots
	config *logpb.Config
	up     bool

	fsm     *fsm.FSM
	node    *node.Node
	arbiter *arbiter.Arbiter
	agents  *agentapi.Server
	courier *notify.Courier
	looked  atomic.Int32 // times that somebody asked for a leader, and there was one
	server  *grpc.Server
	door    *bufconn.Listener
	cancel  context.CancelFunc
	parts   sync.WaitGroup
}

// start opens the node on what its disk has.
func (n *Node) start() error {
	log := n.c.log.Named(n.Name)
	n.fsm = fsm.New(fsm.Options{Log: log.Named("fsm"),
		Fatal: func(err error) { n.c.complain("%s must stop: %v", n.Name, err) }})
	n.c.plug(n.Name)
	var err error
	n.node, err = node.Open(context.Background(), node.Options{
		Name: n.Name, FSM: n.fsm, Log: hclog.NewNullLogger(), Transport: n.c.wires[n.Name], Members: n.c.members(),
		Store: n.Store, Snapshots: n.snaps, Tune: func(c *raft.Config) {
			c.HeartbeatTimeout, c.ElectionTimeout = 300*time.Millisecond, 300*time.Millisecond
			c.LeaderLeaseTimeout = 250 * time.Millisecond
		},
	})
	if err != nil {
		return fmt.Errorf("open %s: %w", n.Name, err)
	}
	data := filepath.Join(n.c.dir, n.Name)
	n.arbiter, err = arbiter.New(arbiter.Options{
		Node: n.node, Replica: n.fsm, Clock: n.clock, ID: n.Name, Data: data, Log: log,
		Address: func(id string) string { return id },
	})
	if err != nil {
		return err
	}
	n.agents, err = agentapi.New(agentapi.Options{Arbiter: n.arbiter, Replica: n.fsm, Clock: n.clock, Leader: n.leader,
		Data: data, Log: log})
	if err != nil {
		return err
	}
	n.courier, err = notify.New(notify.Options{Arbiter: n.arbiter, Replica: n.fsm, Clock: n.clock, Quorum: n.quorum,
		ID: n.Name, Data: data, Log: log})
	if err != nil {
		return err
	}
	n.courier.Swap(notify.Places{Senders: map[string]sender.Sender{"slack.ops": mailbox{n}},
		Pagers: []string{"slack.ops"}})
	n.server = grpc.NewServer()
	n.agents.Register(n.server)
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.opened(true)
	n.parts.Go(func() { n.run("arbiter", n.arbiter.Run(ctx)) })
	n.parts.Go(func() { n.run("agents", n.agents.Run(ctx)) })
	n.parts.Go(func() { n.run("courier", n.courier.Run(ctx)) })
	n.parts.Go(func() { _ = n.server.Serve(n.door) })
	return n.arbiter.Configure(n.config, false)
}

func (n *Node) run(part string, err error) {
	if err != nil {
		n.c.log.Error("a part ended", "node", n.Name, "part", part, "error", err)
	}
}

// leader is who leads, as agents need to know it.
func (n *Node) leader() agentapi.Leader {
	name, _ := n.node.Leader()
	return agentapi.Leader{Self: n.node.IsLeader(), Address: name, Silent: n.node.Standing().Silent}
}

// quorum is whether there is one, as far as this node knows. It is silent by the cluster's clocks.
func (n *Node) quorum() notify.Quorum {
	name, _ := n.node.Leader()
	s := n.node.Standing()
	if name != "" {
		n.looked.Add(1)
	}
	return notify.Quorum{Leader: name != "", Term: s.Term, Silent: pace * s.Silent}
}

// mailbox is the one place to which every node sends its messages.
type mailbox struct{ n *Node }

// Send delivers a message.
func (m mailbox) Send(_ context.Context, x sender.Message) error {
	m.n.c.mu.Lock()
	defer m.n.c.mu.Unlock()
	m.n.c.note("%s tells people: %s %s: %s", m.n.Name, x.Kind, x.Key, x.Title)
	m.n.c.mail = append(m.n.c.mail, x)
	return nil
}

// stop ends the node. What was promised to nobody is lost with it.
func (n *Node) stop() {
	n.opened(false)
	n.cancel()
	n.server.Stop()
	n.node.Abort()
	n.parts.Wait()
}

// opened opens or closes the door for agents.
func (n *Node) opened(up bool) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.up = up; up {
		n.door = bufconn.Listen(1 << 20)
	}
}

// hclogger writes to the test's log what only matters when it fails.
func hclogger(w interface{ Write([]byte) (int, error) }) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: w, Level: hclog.Warn})
}
