package cli_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// fakeAgent speaks the line to real controllers for a host that has no systemd. It runs every bundle that it is told to,
// but for those with "no sense" in them, which it refuses.
type fakeAgent struct {
	id, name string
	labels   []*logpb.Label
	cancel   context.CancelFunc
	done     chan struct{}

	mu       sync.Mutex
	last     *logpb.Welcome
	standing *agentpb.Standing
	events   []*logpb.Event
	wake     chan struct{}
}

// joinAgent is `agent NAME [LABEL=VALUE…]`.
func joinAgent(ts *testscript.TestScript, _ bool, args []string) {
	sum := sha256.Sum256([]byte(args[0]))
	a := &fakeAgent{id: hex.EncodeToString(sum[:16]), name: args[0], done: make(chan struct{}), wake: make(chan struct{}, 1)}
	for _, l := range args[1:] {
		name, value, _ := strings.Cut(l, "=")
		a.labels = append(a.labels, &logpb.Label{Name: name, Value: value})
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	theClusterOf(ts).agents[a.name] = a
	addresses := strings.Split(ts.Getenv("SALVE_ADDRESS"), ",")
	go func() {
		defer close(a.done)
		for n := 0; ctx.Err() == nil; n++ {
			_ = a.session(ctx, addresses[n%len(addresses)]) // then the next node
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	awaitOutput(ts, a.name, "salve", "hosts")
}

// falseAlarm is `alarm NAME RULE`: an alert that is over at once though nobody did anything.
func falseAlarm(ts *testscript.TestScript, _ bool, args []string) {
	a := theClusterOf(ts).agents[args[0]]
	a.mu.Lock()
	defer a.mu.Unlock()
	n := uint64(len(a.events))
	a.events = append(a.events,
		&logpb.Event{N: n + 1, What: &logpb.Event_Fired{Fired: &logpb.Alert{Rule: args[1], Severity: "info"}}},
		&logpb.Event{N: n + 2, What: &logpb.Event_Resolved{Resolved: &logpb.AlertEnd{
			Key: &logpb.AlertKey{Host: a.id, Stream: "s " + a.name, N: n + 1}}}})
	a.poke()
}

func (a *fakeAgent) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *fakeAgent) stop() {
	a.cancel()
	<-a.done
}

// session is one session with one node, to its end.
func (a *fakeAgent) session(ctx context.Context, address string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	node := agentpb.NewLineClient(conn)
	line, err := node.Connect(ctx)
	if err != nil {
		return err
	}
	a.mu.Lock()
	hello := &logpb.Hello{Host: a.id, Name: a.name, Fingerprint: "f " + a.name, BootId: "b", LastEpoch: a.last.GetEpoch(),
		Nonce: fmt.Sprint(time.Now().UnixNano()), Stream: "s " + a.name, LastEvent: uint64(len(a.events)),
		Generation: a.last.GetGeneration(), Labels: a.labels, Version: "test",
		Services: []*logpb.ServiceReport{{Service: "checkout", Serving: logpb.Serving_SERVING_YES}}}
	a.mu.Unlock()
	if err := line.Send(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Hello{Hello: hello}}); err != nil {
		return err
	}
	first, err := line.Recv()
	if err != nil || first.GetWelcome() == nil {
		return fmt.Errorf("no welcome: %v, %w", first, err)
	}
	welcome := first.GetWelcome()
	a.mu.Lock()
	a.last = welcome
	a.mu.Unlock()
	go a.hear(line, cancel)
	return a.speak(ctx, node, line, welcome)
}

// hear takes what the node says.
func (a *fakeAgent) hear(line agentpb.Line_ConnectClient, over func()) {
	defer over()
	for {
		m, err := line.Recv()
		if err != nil {
			return
		}
		if o := m.GetStanding(); o != nil {
			a.mu.Lock()
			a.standing = o
			a.mu.Unlock()
			a.poke()
		}
	}
}

// speak says what there is to say until the session ends.
func (a *fakeAgent) speak(ctx context.Context, node agentpb.LineClient, line agentpb.Line_ConnectClient, w *logpb.Welcome) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	mark := w.GetMark()
	for ping := uint64(1); ctx.Err() == nil; ping++ {
		a.mu.Lock()
		orders, fresh := a.standing.GetBundles(), a.events[mark:]
		mark = uint64(len(a.events))
		a.mu.Unlock()
		out := []*agentpb.ConnectRequest{{What: &agentpb.ConnectRequest_Ping{Ping: &agentpb.Ping{N: ping, Heard: ping - 1}}}}
		if len(fresh) > 0 {
			out = append(out, &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Events{Events: &logpb.Events{Host: a.id,
				Epoch: w.GetEpoch(), Stream: w.GetStream(), Event: fresh}}})
		}
		report := &logpb.ReportBundles{Host: a.id, Epoch: w.GetEpoch()}
		for _, o := range orders {
			report.Bundles = append(report.Bundles, a.run(ctx, node, o))
		}
		out = append(out, &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Bundles{Bundles: report}})
		for _, m := range out {
			if err := line.Send(m); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-a.wake:
		case <-ticker.C:
		}
	}
	return ctx.Err()
}

// run fetches a bundle and says what comes of it.
func (a *fakeAgent) run(ctx context.Context, node agentpb.LineClient, o *agentpb.BundleOrder) *logpb.HostBundle {
	hb := &logpb.HostBundle{Name: o.GetName(), Wanted: o.GetDigest()}
	r, err := node.Bundle(ctx, &agentpb.BundleRequest{Host: a.id, Name: o.GetName(), Digest: o.GetDigest()})
	switch {
	case err != nil:
		hb.Error = "fetch: " + err.Error()
	case strings.Contains(r.GetFiles()[0].GetText(), "no sense"):
		hb.Refused, hb.Error = true, "a.hcl:1:1: no sense"
	default:
		hb.Running = o.GetDigest()
	}
	return hb
}
