package controllertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/controllertest/model"
	"github.com/salveops/salve/controller/controllertest/spec"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Host is a machine with an agent, which finds the leader by itself.
type Host struct {
	Machine *model.Machine // with c's lock held

	c      *Cluster
	agent  *model.Agent // nil: dead
	frozen bool
	banned bool
	line   *line

	backups []*model.Disk

	next   time.Duration // true time before which it does not dial again
	try    string        // node to dial next, "": any
	turn   int
	cancel context.CancelFunc
	over   chan struct{}
}

// line is one connection with a node.
type line struct {
	host   *Host
	agent  *model.Agent
	node   string
	begun  time.Duration
	cancel context.CancelFunc
	out    chan *agentpb.ConnectRequest
	asked  map[string][]func(at int64, output any) // answers that the history waits for, in order
}

// Host adds a machine that runs services, with an agent.
func (c *Cluster) Host(id string, services ...string) *Host {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &Host{c: c, Machine: model.NewMachine(c.witness, c.glass.now, id, services...), over: make(chan struct{})}
	c.hosts = append(c.hosts, h)
	h.start()
	var ctx context.Context
	ctx, h.cancel = context.WithCancel(context.Background())
	go h.live(ctx)
	return h
}

// retire takes the host away for good.
func (h *Host) retire() {
	h.cancel()
	<-h.over
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	h.drop()
}

// live lets the agent do what is due.
func (h *Host) live(ctx context.Context) {
	defer close(h.over)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.c.mu.Lock()
			h.tick()
			h.c.mu.Unlock()
		}
	}
}

func (h *Host) tick() {
	h.Machine.Advance()
	if h.agent == nil || h.frozen {
		return
	}
	now := h.c.glass.now()
	switch v := h.agent.Tick(); {
	case h.agent.Frozen():
		h.frozen = true
	case v != model.Stay:
		h.judge(v)
	case h.line == nil && now >= h.next && !h.banned:
		h.dial()
	case h.line != nil && now-h.line.begun > permit.LostAfter && (!h.agent.Live() || h.agent.Silent() > permit.LostAfter):
		h.drop()
	}
}

func (h *Host) judge(v model.Verdict) {
	switch v {
	case model.Banned:
		h.banned = true
		fallthrough
	case model.Anew, model.Leave:
		h.drop()
	}
}

// drop loses the connection.
func (h *Host) drop() {
	if h.line == nil {
		return
	}
	h.line.cancel()
	h.line = nil
	h.next = h.c.glass.now() + time.Second
	if h.agent != nil {
		h.agent.Cut()
	}
}

// dial opens a connection with the node that was named, or with the next one.
func (h *Host) dial() {
	node := h.try
	if h.try = ""; node == "" {
		node = h.c.nodes[h.turn%len(h.c.nodes)].Name
		h.turn++
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &line{host: h, agent: h.agent, node: node, begun: h.c.glass.now(), cancel: cancel,
		out: make(chan *agentpb.ConnectRequest, 1000), asked: map[string][]func(int64, any){}}
	h.line = l
	go l.run(ctx)
}

// run carries what both ends say until one of them has enough.
func (l *line) run(ctx context.Context) {
	err := l.talk(ctx)
	l.cancel()
	l.host.c.mu.Lock()
	defer l.host.c.mu.Unlock()
	if l.host.line == l {
		if err != nil && ctx.Err() == nil {
			l.host.c.note("%s loses %s: %v", l.host.Machine.ID, l.node, err)
		}
		l.host.drop()
	}
}

func (l *line) talk(ctx context.Context) error {
	c := l.host.c
	conn, err := grpc.NewClient("passthrough:///"+l.node, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			raw, err := c.Node(l.node).accept(ctx)
			if err != nil {
				return nil, err
			}
			return c.net.gate(raw, l.host.Machine.ID, l.node), nil
		}))
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := agentpb.NewLineClient(conn).Connect(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	if l.host.line != l || l.host.frozen {
		c.mu.Unlock()
		return errors.New("too late")
	}
	l.agent.Connect(l.say)
	c.mu.Unlock()
	go l.write(ctx, stream)
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		if !l.take(ctx, r) {
			return nil
		}
	}
}

// write sends what the agent says, in order.
func (l *line) write(ctx context.Context,
	stream grpc.BidiStreamingClient[agentpb.ConnectRequest, agentpb.ConnectResponse]) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-l.out:
			if err := stream.Send(r); err != nil {
				l.cancel()
				return
			}
		}
	}
}

// say is the agent's voice, with the lock held. In a network that repeats things it says some of them twice.
func (l *line) say(r *agentpb.ConnectRequest) {
	r = proto.CloneOf(r)
	times := 1
	if _, twice := l.host.c.net.fate(); twice && r.GetHello() == nil {
		times = 2
	}
	// A hello that is said again says the same, and histories have to tell one from the other.
	if h := r.GetHello(); h != nil && l.host.c.history != nil {
		l.host.c.wants++
		h.Name = fmt.Sprintf("%s, for the %dth time", h.GetName(), l.host.c.wants)
	}
	for range times {
		l.ask(r)
		select {
		case l.out <- r:
		default: // a thousand messages that nobody takes
			l.cancel()
		}
	}
}

// take hands a message to the process that it was sent to. A process that stands still takes nothing.
func (l *line) take(ctx context.Context, r *agentpb.ConnectResponse) bool {
	h := l.host
	for {
		h.c.mu.Lock()
		if h.line != l || h.agent != l.agent || h.agent == nil {
			h.c.mu.Unlock()
			return false
		}
		if !h.frozen {
			break
		}
		h.c.mu.Unlock()
		select {
		case <-ctx.Done():
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	defer h.c.mu.Unlock()
	if to := r.GetRedirect(); to != nil {
		h.try = to.GetAddress()
	}
	l.answered(r)
	v := h.agent.Receive(r)
	h.judge(v)
	return v == model.Stay
}

// ask writes a question into the history; what has no answer is written by the log.
func (l *line) ask(r *agentpb.ConnectRequest) {
	if l.host.c.history == nil {
		return
	}
	var name string
	var cmd *logpb.Command
	switch what := r.GetWhat().(type) {
	case *agentpb.ConnectRequest_Hello:
		name, cmd = "hello", &logpb.Command{What: &logpb.Command_Hello{Hello: what.Hello}}
	case *agentpb.ConnectRequest_Request:
		name = fmt.Sprint("request ", what.Request.GetN())
		cmd = &logpb.Command{What: &logpb.Command_Request{Request: what.Request}}
	case *agentpb.ConnectRequest_Settle:
		name = fmt.Sprint("settle ", spec.TokenOf(what.Settle.GetToken()))
		cmd = &logpb.Command{What: &logpb.Command_Settle{Settle: what.Settle}}
	default:
		return
	}
	l.asked[name] = append(l.asked[name], l.host.c.history.Call(l.host.c.nanos(), cmd))
}

// answered writes an answer into the history: a session answers one message after the other.
func (l *line) answered(r *agentpb.ConnectResponse) {
	name, out := "", &logpb.Result{}
	switch what := r.GetWhat().(type) {
	case *agentpb.ConnectResponse_Welcome:
		name, out = "hello", &logpb.Result{What: &logpb.Result_Welcome{Welcome: what.Welcome}}
	case *agentpb.ConnectResponse_Answer:
		name = fmt.Sprint("request ", what.Answer.GetN())
		if what.Answer.GetToken() != nil {
			name = fmt.Sprint("settle ", spec.TokenOf(what.Answer.GetToken()))
		}
		out.Refusal = what.Answer.GetRefusal()
		if g := what.Answer.GetGrant(); g != nil {
			out.What = &logpb.Result_Grant{Grant: g}
		}
	}
	if waiting := l.asked[name]; len(waiting) > 0 {
		waiting[0](l.host.c.nanos(), out)
		l.asked[name] = waiting[1:]
	}
}

// start begins an agent process.
func (h *Host) start() {
	if h.agent != nil {
		return
	}
	h.agent, h.frozen = model.Start(h.Machine, h.c.nonce), false
	h.c.note("an agent starts on %s", h.Machine.ID)
}

func (c *Cluster) nonce() string {
	c.wants++
	return fmt.Sprintf("nonce-%d", c.wants)
}

// with runs f under the cluster's lock.
func (h *Host) with(format string, f func()) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if format != "" {
		h.c.note(format, h.Machine.ID)
	}
	f()
}

// Kill ends the agent process. What it called goes on.
func (h *Host) Kill() {
	h.with("the agent of %s dies", func() {
		h.agent = nil
		h.drop()
	})
}

// Start begins another process.
func (h *Host) Start() { h.with("", h.start) }

// Freeze stops the process; its machine goes on.
func (h *Host) Freeze() { h.with("the agent of %s stands still", func() { h.frozen = true }) }

// FreezeBeforeActing stops the process the next time that it has asked for the last time, and not acted.
func (h *Host) FreezeBeforeActing() {
	h.with("", func() { h.agent.Stall = func() bool { return true } })
}

// Dead reports whether there is no process, and nothing that one has called runs.
func (h *Host) Dead() (is bool) {
	h.with("", func() { is = h.agent == nil && !h.c.witness.Runs(h.Machine.ID, permit.Token{}) })
	return is
}

// Frozen reports whether the process stands still.
func (h *Host) Frozen() (is bool) {
	h.with("", func() { is = h.frozen })
	return is
}

// Thaw lets the process go on.
func (h *Host) Thaw() {
	h.with("the agent of %s goes on", func() {
		h.frozen = false
		if h.agent != nil {
			h.agent.Stall = nil
			h.agent.Thaw()
		}
	})
}

// Backup keeps a copy of the agent's journal.
func (h *Host) Backup() { h.with("", func() { h.backups = append(h.backups, h.Machine.Disk.Copy()) }) }

// RollBack ends the agent process and puts an older copy of its journal, if there is one, under the next one.
func (h *Host) RollBack() {
	h.Kill()
	h.with("the journal of %s is the oldest one now", func() {
		if len(h.backups) > 0 {
			h.Machine.Disk, h.Machine.Forgot = h.backups[0].Copy(), true
			h.backups = h.backups[1:]
		}
	})
}

// Lost are the alerts of the journal that never came into an incident.
func (h *Host) Lost() (lost []*logpb.AlertKey) {
	h.with("", func() {
		for _, a := range h.Machine.Disk.Alerts {
			if !h.c.audit.Kept(a.Key) {
				lost = append(lost, a.Key)
			}
		}
	})
	return lost
}

// Reboot ends everything that runs on the machine, and begins a boot with an agent.
func (h *Host) Reboot() {
	h.Kill()
	h.with("%s is booted", func() {
		h.Machine.Off()
		h.Machine.Boot()
		h.start()
	})
}

// Set makes a service well, sick, down or held.
func (h *Host) Set(service string, is model.Health) {
	h.with("", func() { h.Machine.Set(service, is) })
}

// Fires journals that a rule fires for a service.
func (h *Host) Fires(rule, service string) {
	h.with("", func() {
		if h.agent != nil && !h.frozen {
			h.agent.Fire(rule, service, "local-"+h.c.nonce())
		}
	})
}

// Recover makes a service well again, unless something is at work on it, and ends what fires.
func (h *Host) Recover(service string) {
	h.with("", func() {
		if h.Machine.Idle(nil) {
			h.Machine.Set(service, model.Well)
			if h.agent != nil && !h.frozen {
				h.agent.Calm(service)
			}
		}
	})
}

// Busy reports whether the agent has anything to do or to settle.
func (h *Host) Busy() (is bool) {
	h.with("", func() { is = h.agent == nil || h.agent.Busy() > 0 || h.agent.Open() > 0 })
	return is
}

// Doing says what the agent has to do or to settle.
func (h *Host) Doing() (what string) {
	h.with("", func() {
		if h.agent != nil {
			what = fmt.Sprintf("%d attempts, %d permits: %v", h.agent.Busy(), h.agent.Open(), h.agent)
		}
	})
	return what
}

// Finish ends whatever runs on the machine, as if it had taken so long.
func (h *Host) Finish() { h.with("", func() { h.Machine.FinishAll() }) }

// Steps is how many steps were called on the machine.
func (h *Host) Steps() (n int) {
	h.with("", func() { n = h.Machine.Calls })
	return n
}

// Paused reports whether the newest standing orders on the host's disk have a pause.
func (h *Host) Paused() (is bool) {
	h.with("", func() { is = len(h.Machine.Disk.Standing.GetPauses()) > 0 })
	return is
}

// Live reports whether the session with the leader is established.
func (h *Host) Live() (is bool) {
	h.with("", func() { is = h.agent != nil && h.agent.Live() })
	return is
}
