package controller

import (
	"context"
	"fmt"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc"

	"github.com/salveops/salve/controller/internal/access"
	"github.com/salveops/salve/controller/internal/adminapi"
	"github.com/salveops/salve/controller/internal/agentapi"
	"github.com/salveops/salve/controller/internal/arbiter"
	"github.com/salveops/salve/controller/internal/enroll"
	"github.com/salveops/salve/controller/internal/figure"
	"github.com/salveops/salve/controller/internal/fsm"
	"github.com/salveops/salve/controller/internal/node"
	"github.com/salveops/salve/controller/internal/notify"
	"github.com/salveops/salve/controller/internal/web"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/credential"
	renew "github.com/salveops/salve/pkg/enroll"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/pkg/version"
)

// plumbing are the node's parts.
type plumbing struct {
	metrics  *prometheus.Registry
	fsm      *fsm.FSM
	gate     *access.Gate
	own      *credential.Store    // this node's certificate; nil: lines are plain text
	giver    *enroll.Server       // of certificates; nil: lines are plain text
	renewer  *renew.Renewer       // of this node's own certificate; nil: lines are plain text
	lines    *transport.Transport // for agents and people, who may come without a certificate
	peers    *transport.Transport // for nodes only
	node     *node.Node
	arbiter  *arbiter.Arbiter
	agents   *agentapi.Server
	figures  *figure.Server
	courier  *notify.Courier
	admin    *adminapi.Server
	web      *web.Server
	grpc     *grpc.Server
	listener net.Listener
}

// build makes the parts, in the order in which they need one another.
func (c *controller) build(ctx context.Context) (err error) {
	if c.o.Dev {
		if err := c.dev(); err != nil {
			return err
		}
	}
	if c.file, err = c.load(); err != nil {
		return err
	}
	c.metrics = prometheus.NewRegistry()
	c.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	c.buildState()
	for _, step := range []func(context.Context) error{
		c.buildIdentity, c.listen, c.openNode, c.openReload, c.buildArbiter, c.buildAgents, c.buildEnroll, c.buildCourier,
		c.buildAdmin, c.buildWeb,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return c.arbiter.Configure(c.file.Replicated(), false)
}

// listen opens the port for agents and people before the node greets its peers, which learn it from there.
func (c *controller) listen(ctx context.Context) (err error) {
	c.grpc, c.listener, err = c.lines.GRPC(ctx, c.file.Listen.GRPC,
		grpc.ChainUnaryInterceptor(adminapi.Unary(c.log), c.gate.Unary()),
		grpc.ChainStreamInterceptor(adminapi.Stream(c.log), c.gate.Stream()))
	if err != nil {
		return fmt.Errorf("listen for agents and operators: %w", err)
	}
	c.onStop("gRPC", func() error {
		c.grpc.Stop()
		return nil
	})
	return nil
}

func (c *controller) grpcAddress() string { return c.listener.Addr().String() }

// buildState makes this node's copy of the state, which is empty until the log fills it.
func (c *controller) buildState() {
	c.fsm = fsm.New(fsm.Options{Log: c.log.Named("fsm"), Fatal: func(err error) {
		select {
		case c.fatal <- err:
		default:
		}
	}})
}

func (c *controller) openNode(ctx context.Context) (err error) {
	peers := make([]string, len(c.file.Raft.Peers))
	advertise := ""
	for i, p := range c.file.Raft.Peers {
		peers[i] = p.Address
		if p.ID == c.file.Node {
			advertise = p.Address
		}
	}
	c.node, err = node.Open(ctx, node.Options{
		Name: c.file.Node, Dir: c.file.Data, Listen: c.file.Listen.Raft, Advertise: advertise, API: c.apiAddress(),
		Peers: peers, BootstrapExpect: c.file.Raft.BootstrapExpect, Profile: c.file.Raft.Profile, Line: c.gate.Watched(c.peers),
		FSM: c.fsm, Log: c.log.Named("node"),
	})
	if err != nil {
		return fmt.Errorf("open node: %w", err)
	}
	c.onStop("node", c.node.Close)
	return nil
}

func (c *controller) buildArbiter(context.Context) (err error) {
	c.arbiter, err = arbiter.New(arbiter.Options{
		Node: c.node, Replica: c.fsm, Clock: c.o.Clock, ID: c.file.Node, Data: c.file.Data, Log: c.log,
		Metrics: c.metrics, Address: c.node.API, Forward: arbiter.Forward(c.file.Node, c.dial), PeerFormat: c.peerFormat,
	})
	if err != nil {
		return err
	}
	c.arbiter.Register(c.grpc)
	return nil
}

func (c *controller) dial(ctx context.Context, address string) (*grpc.ClientConn, error) {
	return c.peers.Client(ctx, address)
}

func (c *controller) buildAgents(context.Context) (err error) {
	c.agents, err = agentapi.New(agentapi.Options{
		Arbiter: c.arbiter, Replica: c.fsm, Clock: c.o.Clock, Leader: c.leader, Data: c.file.Data, Log: c.log,
		Authorize: access.MayBe,
	})
	if err != nil {
		return err
	}
	c.agents.Register(c.grpc)
	if c.figures, err = figure.New(figure.Options{Leads: c.arbiter.Leads, Clock: c.o.Clock, Log: c.log}); err != nil {
		return err
	}
	c.figures.Swap(queries(c.file))
	c.figures.Register(c.grpc)
	return nil
}

// queries are what the leader asks.
func queries(file *config.ControllerFile) []figure.Query {
	out := make([]figure.Query, len(file.Queries))
	for i, q := range file.Queries {
		out[i] = figure.Query{Name: q.Name, Every: q.Every, Window: q.Window, Server: q.Server}
	}
	return out
}

func (c *controller) buildCourier(context.Context) (err error) {
	places, err := c.places(c.file)
	if err != nil {
		return err
	}
	c.courier, err = notify.New(notify.Options{
		Arbiter: c.arbiter, Replica: c.fsm, Clock: c.o.Clock, Quorum: c.quorum, ID: c.file.Node, Data: c.file.Data,
		Log: c.log, Metrics: c.metrics, Forward: arbiter.ForwardPaged(c.dial),
	})
	if err != nil {
		return err
	}
	c.courier.Swap(places)
	return nil
}

func (c *controller) buildAdmin(context.Context) error {
	c.admin = adminapi.New(adminapi.Options{
		Version: version.Get().String(), Proposer: c.arbiter, Store: c.fsm, Node: standing{c}, Cluster: cluster{c.node},
		Backups: backups{c}, Sessions: c.agents, Evidence: c.agents.Store(), Clock: c.o.Clock, Log: c.log,
		Authorities: c.authorities(),
	})
	c.admin.Register(c.grpc)
	return nil
}

func (c *controller) buildWeb(context.Context) error {
	c.metrics.MustRegister(web.NewCollector(c.admin))
	c.web = web.New(web.Options{
		Admin: c.admin, Address: c.file.Listen.HTTP, Listen: c.lines, Metrics: c.metrics, Unready: c.admin.Unready, Log: c.log,
		Gate: c.gate,
	})
	return nil
}

// parts are what runs side by side.
func (c *controller) parts() map[string]func(context.Context) error {
	parts := map[string]func(context.Context) error{
		"arbiter": c.arbiter.Run,
		"agents":  c.agents.Run,
		"figures": c.figures.Run,
		"courier": c.courier.Run,
		"gRPC":    c.serve,
		"access":  c.gate.Run,
	}
	if c.own != nil {
		parts["certificate"], parts["renewal"], parts["certificate's end"] = c.own.Run, c.renewer.Run, c.watchEnd
	}
	if c.file.Listen.HTTP != "" {
		parts["web"] = c.web.Run
	}
	return parts
}

// serve answers agents and operators until ctx ends.
func (c *controller) serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		c.admin.Stop()
		c.grpc.Stop()
	})
	defer stop()
	if err := c.grpc.Serve(c.listener); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}
