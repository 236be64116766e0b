package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/salveops/salve/proto/localpb"
)

// tale follows what the agent tells on its socket and prints it as it happens.
type tale struct {
	feed[*localpb.TimelineEvent] // of the story being told

	conn   *grpc.ClientConn
	client localpb.AgentClient
	out    io.Writer
	label  string // whose tale it is, before each line
	cancel context.CancelFunc
	ended  chan struct{}

	scope   sync.Mutex
	since   time.Time // the fault of the story being told
	service string    // that it is about; "" between stories
}

func openTale(ctx context.Context, socket string, out io.Writer, label string) (*tale, error) {
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	t := &tale{conn: conn, client: localpb.NewAgentClient(conn), out: out, label: label,
		ended: make(chan struct{})}
	// Not the caller's context: the stream has to tell the end of a story that Ctrl-C cut short.
	streamCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.cancel = cancel
	stream, err := t.client.Watch(streamCtx, &localpb.WatchRequest{})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watch agent: %w", err)
	}
	go t.follow(stream)
	return t, nil
}

func (t *tale) follow(stream grpc.ServerStreamingClient[localpb.WatchResponse]) {
	defer close(t.ended)
	for {
		m, err := stream.Recv()
		if err != nil {
			t.fail(fmt.Errorf("agent's event stream ended: %w", err))
			return
		}
		t.scope.Lock()
		if e := m.GetEvent(); e.GetService() == t.service && t.service != "" {
			t.print(e)
			t.add(e)
		}
		t.scope.Unlock()
	}
}

func (t *tale) print(e *localpb.TimelineEvent) {
	printLine(t.out, e.GetAt().AsTime().Sub(t.since), t.label, e.GetType(), e.GetText())
}

// printLine writes one line of a timeline; later lines of a long text are indented below it.
func printLine(out io.Writer, at time.Duration, label, kind, text string) {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+strings.Repeat(" ", 25+len(label)))
	fmt.Fprintf(out, "   %+8.0f ms  %s%-9s %s\n", millis(at), label, kind, text)
}

// begin makes events of the service print and count from now on.
func (t *tale) begin(service string) time.Time {
	now := time.Now()
	t.beginAt(service, now)
	return now
}

func (t *tale) beginAt(service string, now time.Time) {
	t.scope.Lock()
	defer t.scope.Unlock()
	t.service, t.since = service, now
	t.clear()
}

// finish ends the story.
func (t *tale) finish() {
	t.scope.Lock()
	defer t.scope.Unlock()
	t.service = ""
}

// lastIncident is the one that the story's last event belongs to, "" if there was none.
func (t *tale) lastIncident() string {
	events := t.all()
	if len(events) == 0 {
		return ""
	}
	return events[len(events)-1].GetIncident()
}

// incident fetches the whole record.
func (t *tale) incident(ctx context.Context, id string) (*localpb.Incident, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	r, err := t.client.Incident(ctx, &localpb.IncidentRequest{Id: id})
	return r.GetIncident(), err
}

const askTime = 5 * time.Second

// settled fetches the record once it is over; its last events are told a moment before it is stored.
func (t *tale) settled(ctx context.Context, id string) (*localpb.Incident, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 20 {
		in, err := t.incident(ctx, id)
		if state := in.GetSummary().GetState(); err != nil || state == "resolved" || state == "escalated" {
			return in, err
		}
		<-tick.C
	}
	return t.incident(ctx, id)
}

// awaitReady waits until every probe of the services answers: before that the agent would rightly not judge.
func (t *tale) awaitReady(ctx context.Context, services []string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		missing, err := t.missing(ctx, services)
		if err != nil {
			return fmt.Errorf("ask agent for signals: %w", err)
		}
		if missing == "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the agent to see everything well: %s", missing)
		}
	}
}

// missing names a signal that is not as it must be before the first story; "" if there is none.
func (t *tale) missing(ctx context.Context, services []string) (string, error) {
	r, err := t.client.Signals(ctx, &localpb.SignalsRequest{})
	if err != nil {
		return "", err
	}
	probes := map[string]bool{}
	for _, s := range r.GetSignals() {
		name := s.GetName() + "{" + s.GetOf() + "}"
		isOK := strings.HasPrefix(s.GetName(), "probe.") && strings.HasSuffix(s.GetName(), ".ok")
		probes[s.GetOf()] = probes[s.GetOf()] || isOK
		if isOK && !(s.GetKnown() && s.GetValue() == 1) {
			return name + " is " + s.GetText(), nil
		}
	}
	for _, name := range services {
		if !probes[name] {
			return "no probe of " + name + " yet", nil
		}
	}
	return "", nil
}

func (t *tale) close() error {
	t.cancel()
	<-t.ended
	return t.conn.Close()
}

func millis(d time.Duration) float64 { return d.Seconds() * 1e3 }
