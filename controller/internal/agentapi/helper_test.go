package agentapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/salveops/salve/controller/internal/arbiter"
	"github.com/salveops/salve/controller/internal/arbiter/arbitertest"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(idleAddress); address != "" {
		if err := beIdle(address); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// rig is one node: the real arbiter and the real line over a log of one.
type rig struct {
	t       testing.TB
	journal *arbitertest.Journal
	seat    *arbitertest.Seat
	arbiter *arbiter.Arbiter
	server  *Server
	client  *grpc.ClientConn
	dial    func() *grpc.ClientConn

	mu   sync.Mutex
	away Leader
	stop func()
}

// onLoopback serves the line as the product does, over TCP.
func onLoopback(t testing.TB) *rig {
	t.Helper()
	lines, err := transport.New(transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, l, err := lines.GRPC(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, g, l, func() (*grpc.ClientConn, error) { return lines.Client(context.Background(), l.Addr().String()) })
}

// inMemory serves it over pipes, for tests whose time is not real.
func inMemory(t testing.TB) *rig {
	t.Helper()
	l := bufconn.Listen(64 << 10)
	return serve(t, grpc.NewServer(), l, func() (*grpc.ClientConn, error) {
		return grpc.NewClient("passthrough:///node", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	})
}

func serve(t testing.TB, g *grpc.Server, l net.Listener, dial func() (*grpc.ClientConn, error)) *rig {
	t.Helper()
	r := build(t)
	r.server.Register(g)
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.Serve(l) })
	parts := r.stop
	r.dial = func() *grpc.ClientConn {
		c, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	r.stop = sync.OnceFunc(func() {
		g.Stop()
		wg.Wait()
		parts()
	})
	t.Cleanup(r.stop)
	r.client = r.dial()
	return r
}

// build is a node without a network.
func build(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, journal: arbitertest.NewJournal(t)}
	r.seat = arbitertest.NewSeat(r.journal, "n1")
	watch := arbitertest.NewWatch(0)
	var err error
	r.arbiter, err = arbiter.New(arbiter.Options{Node: r.seat, Replica: r.journal, Clock: watch, ID: "n1", Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r.server, err = New(Options{
		Arbiter: r.arbiter, Replica: r.journal, Clock: watch, Data: t.TempDir(), Log: hclog.NewNullLogger(),
		Leader: func() Leader {
			r.mu.Lock()
			defer r.mu.Unlock()
			l := r.away
			l.Self = r.seat.IsLeader()
			return l
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.arbiter.Run(ctx) })
	wg.Go(func() { _ = r.server.Run(ctx) })
	r.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	t.Cleanup(r.stop)
	return r
}

// lead makes the node the leader and waits until it takes commands.
func (r *rig) lead() *rig {
	r.t.Helper()
	r.seat.Elect("n1", false)
	for {
		leads, changed := r.arbiter.Leads()
		if leads {
			return r
		}
		<-changed
	}
}

// follow makes another node the leader, at that address.
func (r *rig) follow(address string, silent time.Duration) {
	r.mu.Lock()
	r.away = Leader{Address: address, Silent: silent}
	r.mu.Unlock()
	r.seat.Elect("n2", false)
}

// must proposes what has to be answered without a refusal.
func (r *rig) must(c *logpb.Command) {
	r.t.Helper()
	res, _, err := r.arbiter.Propose(r.t.Context(), c)
	if err != nil || res.GetRefusal() != nil {
		r.t.Fatalf("%v: %v, %v", c, res, err)
	}
}

// agent is a strict model of an agent process on one stream: it says what it is told to say, answers urges, and fails
// the test when the node says what it must not.
type agent struct {
	t      testing.TB
	host   string
	hello  *logpb.Hello
	stream grpc.BidiStreamingClient[agentpb.ConnectRequest, agentpb.ConnectResponse]
	cancel context.CancelFunc

	mu       sync.Mutex
	epoch    uint64
	ping     uint64
	pong     uint64 // serial of the last pong
	serial   uint64 // of the last one that it heard
	standing uint64 // index of the last standing orders
	frozen   bool   // it does not answer urges
	deaf     bool   // it does not hear pongs
	inbox    chan *agentpb.ConnectResponse
	ended    chan struct{}
	err      error
}

func helloOf(host string) *logpb.Hello {
	return &logpb.Hello{
		Host: host, Name: "name-of-" + host, Fingerprint: "f-" + host, BootId: "boot", Nonce: "nonce-" + host,
		Stream:   "stream-" + host,
		Services: []*logpb.ServiceReport{{Service: "checkout", Serving: logpb.Serving_SERVING_YES}},
	}
}

// connect opens a stream and says hello.
func (r *rig) connect(hello *logpb.Hello) *agent {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	st, err := agentpb.NewLineClient(r.client).Connect(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	a := &agent{t: r.t, host: hello.GetHost(), hello: hello, stream: st, cancel: cancel,
		inbox: make(chan *agentpb.ConnectResponse, 256), ended: make(chan struct{})}
	go a.read()
	r.t.Cleanup(a.close)
	a.say(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Hello{Hello: hello}})
	return a
}

func (a *agent) close() {
	a.cancel()
	<-a.ended
}

// read takes what comes, and keeps to the protocol.
func (a *agent) read() {
	defer close(a.ended)
	defer close(a.inbox)
	for {
		m, err := a.stream.Recv()
		if err != nil {
			a.err = err
			return
		}
		switch what := m.GetWhat().(type) {
		case *agentpb.ConnectResponse_Pong:
			a.mu.Lock()
			if p := what.Pong; p.GetSerial() != a.pong+1 || p.GetN() > a.ping {
				a.t.Errorf("pong %v after serial %d and ping %d", p, a.pong, a.ping)
			}
			a.pong = what.Pong.GetSerial()
			if !a.deaf {
				a.serial = a.pong
			}
			answer := what.Pong.GetUrge() && !a.frozen
			a.mu.Unlock()
			if what.Pong.GetUrge() {
				if answer {
					a.sayPing()
				}
				continue
			}
		case *agentpb.ConnectResponse_Standing:
			if i := what.Standing.GetIndex(); i < a.standing {
				a.t.Errorf("standing orders went back from %d to %d", a.standing, i)
			}
			a.standing = what.Standing.GetIndex()
		}
		a.inbox <- m
	}
}

// say sends; a stream that is over is seen by whoever reads.
func (a *agent) say(m *agentpb.ConnectRequest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
		a.t.Logf("send: %v", err)
	}
}

// sayPing pings, and names the last pong.
func (a *agent) sayPing() {
	a.mu.Lock()
	a.ping++
	m := &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Ping{Ping: &agentpb.Ping{N: a.ping, Heard: a.serial}}}
	a.mu.Unlock()
	a.say(m)
}

// mute keeps the agent from hearing pongs; when that ends it has heard the last one.
func (a *agent) mute(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.deaf = on; !on {
		a.serial = a.pong
	}
}

// drain throws away what has come, and says how much that was.
func (a *agent) drain() int {
	for n := 0; ; n++ {
		select {
		case <-a.inbox:
		default:
			return n
		}
	}
}

// next is the next message that is no answer to an urge.
func (a *agent) next() *agentpb.ConnectResponse {
	a.t.Helper()
	select {
	case m, ok := <-a.inbox:
		if !ok {
			a.t.Fatalf("the stream ended: %v", a.err)
		}
		return m
	case <-time.After(30 * time.Second):
		a.t.Fatal("no message")
	}
	return nil
}

// said is the next message that is no standing orders, which come whenever something changes.
func (a *agent) said() *agentpb.ConnectResponse {
	a.t.Helper()
	for {
		if m := a.next(); m.GetStanding() == nil {
			return m
		}
	}
}

// enter takes the welcome and the first standing orders.
func (a *agent) enter() *logpb.Welcome {
	a.t.Helper()
	w := a.next().GetWelcome()
	if w == nil {
		a.t.Fatal("no welcome")
	}
	a.epoch = w.GetEpoch()
	if s := a.next().GetStanding(); s == nil || s.GetGeneration() != w.GetGeneration() {
		a.t.Fatalf("no standing orders after the welcome: %v", s)
	}
	return w
}

// last is the last word of a session that ends, and the code of its end.
func (a *agent) last() string {
	a.t.Helper()
	said := ""
	for {
		select {
		case m, ok := <-a.inbox:
			switch {
			case !ok && errors.Is(a.err, io.EOF):
				return said + "end"
			case !ok:
				return said + status.Code(a.err).String()
			case m.GetTurnedAway() != nil:
				said += "turned away " + m.GetTurnedAway().GetCode() + ", "
			case m.GetRedirect() != nil:
				said += "redirect " + m.GetRedirect().GetAddress() + ", "
			case m.GetNoQuorum() != nil:
				said += fmt.Sprintf("no quorum %v, ", time.Duration(m.GetNoQuorum().GetSince()))
			case m.GetBusy() != nil:
				said += "busy, "
			}
		case <-time.After(time.Minute):
			a.t.Fatalf("the session goes on; it said %q", said)
		}
	}
}

// joined is an agent that was welcomed.
func (r *rig) joined(host string) *agent {
	r.t.Helper()
	a := r.connect(helloOf(host))
	a.enter()
	return a
}

func request(a *agent, n uint64) *agentpb.ConnectRequest {
	return &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Request{Request: &logpb.Request{
		Host: a.host, Epoch: a.epoch, N: n, Incident: "i", Rule: "slow", Remedy: "restart", Digest: []byte("digest"), Service: "checkout",
	}}}
}

func pauseOf(scope string) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_Pause{Pause: &logpb.PauseCommand{Scope: scope, By: "kim", Reason: "maintenance"}}}
}

// full lets services heal by themselves.
func full() *logpb.Command {
	return &logpb.Command{What: &logpb.Command_Configure{Configure: &logpb.Configure{By: "n1", Config: &logpb.Config{
		Digest: []byte("full"), Services: []*logpb.Service{{Name: "checkout", Autonomy: "full"}},
	}}}}
}

func hasCode(err error, code codes.Code) bool { return status.Code(err) == code }

func long(n int) string { return strings.Repeat("x", n) }
