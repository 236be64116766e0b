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
	conn   *grpc.ClientConn
	client localpb.AgentClient
	out    io.Writer
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	since   time.Time // the fault of the story being told
	service string    // that it is about; "" between stories
	events  []*localpb.TimelineEvent
	news    chan struct{} // closed and replaced at every event and at the end
	err     error         // why the stream ended
}

func openTale(ctx context.Context, socket string, out io.Writer) (*tale, error) {
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	t := &tale{conn: conn, client: localpb.NewAgentClient(conn), out: out, ended: make(chan struct{}),
		news: make(chan struct{})}
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
		t.mu.Lock()
		if err != nil {
			t.err = fmt.Errorf("agent's event stream ended: %w", err)
		} else if e := m.GetEvent(); e.GetService() == t.service && t.service != "" {
			t.events = append(t.events, e)
			t.print(e)
		}
		close(t.news)
		t.news = make(chan struct{})
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// print writes one line of the timeline; later lines of a long text are indented below it.
func (t *tale) print(e *localpb.TimelineEvent) {
	text := strings.ReplaceAll(strings.TrimSpace(e.GetText()), "\n", "\n"+strings.Repeat(" ", 25))
	fmt.Fprintf(t.out, "   %+8.0f ms  %-9s %s\n", millis(e.GetAt().AsTime().Sub(t.since)), e.GetType(), text)
}

// begin makes events of the service print and count from now on.
func (t *tale) begin(service string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.service, t.since, t.events = service, time.Now(), nil
	return t.since
}

// finish ends the story.
func (t *tale) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.service = ""
}

// await waits for an event of the story that pleases ok.
func (t *tale) await(ctx context.Context, what string, ok func(*localpb.TimelineEvent) bool) (*localpb.TimelineEvent, error) {
	seen := 0
	for {
		t.mu.Lock()
		events, news, err := t.events, t.news, t.err
		t.mu.Unlock()
		for ; seen < len(events); seen++ {
			if ok(events[seen]) {
				return events[seen], nil
			}
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, fmt.Errorf("no %s in time: %w", what, ctx.Err())
		}
	}
}

// lastIncident is the one that the story's last event belongs to, "" if there was none.
func (t *tale) lastIncident() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.events) == 0 {
		return ""
	}
	return t.events[len(t.events)-1].GetIncident()
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

// awaitReady waits until every probe answers and every figure of a unit is known: before that the
// agent would rightly not judge.
func (t *tale) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		missing, err := t.missing(ctx)
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
func (t *tale) missing(ctx context.Context) (string, error) {
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
	for _, name := range cast {
		if name != reports && !probes[name] {
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
