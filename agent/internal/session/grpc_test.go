package session_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/session"
	"github.com/salveops/salve/agent/internal/session/linetest"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// The same over TCP and gRPC: a permit, events, evidence, a node that goes away and comes back, and one that says more
// at once than any of ours.
func TestOverGRPC(t *testing.T) {
	node := linetest.New(t)
	address, stop, err := node.Serve()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	j, _, err := journal.Open(t.TempDir(), journal.Options{Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	outbox, err := j.Outbox()
	if err != nil {
		t.Fatal(err)
	}
	lines, err := transport.New(transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	changed := make(chan bool, 16)
	s, err := session.New(session.Options{Host: j.Host(), Name: "web-1", Fingerprint: "print", Addresses: []string{address},
		Clock: c, Store: j.Space("session"), Outbox: outbox, Dial: session.Dialer(lines),
		Changed: func(live bool) { changed <- live }})
	if err != nil {
		t.Fatal(err)
	}
	s.Serving([]*logpb.ServiceReport{{Service: "web", Serving: logpb.Serving_SERVING_YES}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	await(t, changed, true)

	text := strings.Repeat("x", 150_000)
	refs := s.Evidence(evidenceOf("x"+strings.Repeat("é", 150), text)) // is cut within a letter
	digest := string(refs[0].GetDigest())
	outbox.Add(&logpb.Event{What: &logpb.Event_Story{Story: &logpb.Story{Local: "i", Evidence: refs}}}) // owns them now
	outbox.AddAlert(func(incident.AlertKey) *logpb.Alert { return &logpb.Alert{Rule: "down"} })
	if err := outbox.Commit(); err != nil {
		t.Fatal(err)
	}
	ask := permit.Ask{Attempt: "a", Incident: "i", Service: "web", Rule: "ill", Remedy: "restart", Digest: []byte{1},
		Targets: []permit.Target{{Service: "web", Host: j.Host()}}}
	if err := s.Ask(ctx, ask); err != nil {
		t.Fatal(err)
	}
	if f, err := s.Figure(ctx, "letters"); f.GetValue() != 5 || err != nil {
		t.Errorf("figure: %v, %v", f, err)
	}
	if _, err := s.Figure(ctx, "others"); err == nil {
		t.Error("a figure of a query that is not there")
	}
	node.Down(true)
	await(t, changed, false)
	if _, err := s.Figure(ctx, "letters"); err == nil || err.Error() != "there is no session with the controller" {
		t.Errorf("figure without a session: %v", err)
	}
	node.Down(false)
	await(t, changed, true)
	eventually(t, "the permit is settled", func() bool { return len(node.Permits()) == 0 })
	eventually(t, "the alert is told", func() bool { return len(node.Events(j.Host())) == 2 })
	eventually(t, "the evidence is there", func() bool { return node.Evidence([]byte(digest)) == text })
	node.Say(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Mark{
		Mark: &agentpb.Mark{Stream: strings.Repeat("x", 5<<20)}}}) // of another stream: else it would be passed over
	await(t, changed, false)
	await(t, changed, true)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func await(t *testing.T, changed <-chan bool, want bool) {
	t.Helper()
	select {
	case got := <-changed:
		if got != want {
			t.Fatalf("the session is live: %t, want %t", got, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("the session does not become live: %t", want)
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("not so: ", what)
		}
	}
}
