package agent

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/proto/localpb"
)

// phone is a person's line to an agent: its socket, and the events that it tells.
type phone struct {
	localpb.AgentClient
	t testing.TB

	mu     sync.Mutex
	events []*localpb.TimelineEvent
	news   chan struct{} // closed and replaced at each event
}

// call connects to the agent that answers on the host's socket. The events of its past come first.
func (h *host) call() *phone {
	h.t.Helper()
	conn, err := grpc.NewClient("unix:"+h.file("agent.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &phone{AgentClient: localpb.NewAgentClient(conn), t: h.t, news: make(chan struct{})}
	stream, err := p.Watch(ctx, &localpb.WatchRequest{Replay: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			m, err := stream.Recv()
			if err != nil {
				return // the agent or the test has ended
			}
			p.mu.Lock()
			p.events = append(p.events, m.GetEvent())
			close(p.news)
			p.news = make(chan struct{})
			p.mu.Unlock()
		}
	}()
	h.t.Cleanup(func() {
		cancel()
		<-ended
		_ = conn.Close()
	})
	return p
}

// event describes what to wait for; empty fields match everything.
type event struct {
	typ, text string // text is a part of it
	service   string
	fields    map[string]string
}

func (want event) matches(e *localpb.TimelineEvent) bool {
	for k, v := range want.fields {
		if e.GetFields()[k] != v {
			return false
		}
	}
	return (want.typ == "" || e.GetType() == want.typ) && strings.Contains(e.GetText(), want.text) &&
		(want.service == "" || e.GetService() == want.service)
}

// await returns the first event that matches one of those wanted, from the beginning or since a mark.
func (p *phone) await(want ...event) *localpb.TimelineEvent {
	p.t.Helper()
	return p.awaitSince(0, want...)
}

func (p *phone) awaitSince(mark int, want ...event) *localpb.TimelineEvent {
	p.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		p.mu.Lock()
		events, news := p.events, p.news
		p.mu.Unlock()
		for ; mark < len(events); mark++ {
			for _, w := range want {
				if w.matches(events[mark]) {
					return events[mark]
				}
			}
		}
		select {
		case <-news:
		case <-limit.C:
			p.t.Fatalf("no event like %+v came; those that did:\n%s", want, p.told())
		}
	}
}

// mark is where the events stand now.
func (p *phone) mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.events)
}

// told is all events so far, one a line.
func (p *phone) told() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, e := range p.events {
		b.WriteString(e.GetService() + "  " + e.GetType() + "  " + e.GetText() + "\n")
	}
	return b.String()
}

// never fails the test if an event like that came.
func (p *phone) never(w event) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if w.matches(e) {
			p.t.Errorf("there is an event that must not be: %s: %s", e.GetType(), e.GetText())
		}
	}
}

// incident is the whole record; "last" is the newest.
func (p *phone) incident(id string) *localpb.Incident {
	p.t.Helper()
	r, err := p.Incident(p.t.Context(), &localpb.IncidentRequest{Id: id})
	if err != nil {
		p.t.Fatal(err)
	}
	return r.GetIncident()
}

// ended waits for the end of the service's incident and returns its record.
func (p *phone) ended(service string) *localpb.Incident {
	p.t.Helper()
	e := p.await(event{typ: "end", service: service})
	return p.incident(e.GetIncident())
}

// status asks how the agent is.
func (p *phone) status() *localpb.Status {
	p.t.Helper()
	r, err := p.Status(p.t.Context(), &localpb.StatusRequest{})
	if err != nil {
		p.t.Fatal(err)
	}
	return r.GetStatus()
}

// signal is one series, nil if there is none.
func (p *phone) signal(name, of string) *localpb.Signal {
	p.t.Helper()
	r, err := p.Signals(p.t.Context(), &localpb.SignalsRequest{Match: name + "*"})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, s := range r.GetSignals() {
		if s.GetName() == name && s.GetOf() == of {
			return s
		}
	}
	return nil
}

// reads waits until a signal is known and has the value.
func (p *phone) reads(name, of string, value float64) {
	p.t.Helper()
	agenttest.Eventually(p.t, func() bool {
		s := p.signal(name, of)
		return s.GetKnown() && s.GetValue() == value
	}, name+" of "+of+" is as it must be")
}

// logText keeps what an agent logs and shows it if the test fails.
type logText struct {
	mu  sync.Mutex
	buf strings.Builder
}

func newLog(t testing.TB) *logText {
	l := &logText{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the agent's log:\n%s", l)
		}
	})
	return l
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// finds waits until the doctor says something with that text.
func (p *phone) finds(text string) {
	p.t.Helper()
	agenttest.Eventually(p.t, func() bool {
		r, err := p.Doctor(p.t.Context(), &localpb.DoctorRequest{})
		return err == nil && slices.ContainsFunc(r.GetFindings(), func(f *localpb.Finding) bool {
			return strings.Contains(f.GetText(), text)
		})
	}, "the doctor says: "+text)
}
