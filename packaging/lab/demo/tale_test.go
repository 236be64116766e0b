package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/salveops/salve/proto/localpb"
)

// fakeAgent tells what the test sends it.
type fakeAgent struct {
	localpb.UnimplementedAgentServer
	events  chan *localpb.TimelineEvent // closing it ends the stream
	signals []*localpb.Signal
}

func (f *fakeAgent) Watch(_ *localpb.WatchRequest, out grpc.ServerStreamingServer[localpb.WatchResponse]) error {
	for {
		select {
		case e, ok := <-f.events:
			if !ok {
				return nil
			}
			if err := out.Send(&localpb.WatchResponse{Event: e}); err != nil {
				return err
			}
		case <-out.Context().Done():
			return nil
		}
	}
}

func (f *fakeAgent) Signals(context.Context, *localpb.SignalsRequest) (*localpb.SignalsResponse, error) {
	return &localpb.SignalsResponse{Signals: f.signals}, nil
}

func (f *fakeAgent) Incident(_ context.Context, r *localpb.IncidentRequest) (*localpb.IncidentResponse, error) {
	return &localpb.IncidentResponse{Incident: &localpb.Incident{Summary: &localpb.IncidentSummary{Id: r.GetId(), State: "resolved"}}}, nil
}

func follow(t *testing.T, f *fakeAgent) (*tale, *strings.Builder) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	localpb.RegisterAgentServer(srv, f)
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(srv.Stop)
	var out strings.Builder
	tl, err := openTale(t.Context(), socket, &out, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tl.close() })
	return tl, &out
}

func event(service, typ, text string, at time.Time) *localpb.TimelineEvent {
	return &localpb.TimelineEvent{Service: service, Type: typ, Text: text, Incident: "id-" + service, At: timestamppb.New(at)}
}

func TestTaleTellsOneStory(t *testing.T) {
	f := &fakeAgent{events: make(chan *localpb.TimelineEvent, 10)}
	tl, out := follow(t, f)
	start := tl.begin("a")
	f.events <- event("b", "end", "another story", start)
	f.events <- event("a", "alert", "it fires\nbadly", start.Add(12*time.Millisecond))
	f.events <- event("a", "end", "resolved", start.Add(1500*time.Millisecond))
	in, err := tl.end(t.Context())
	if err != nil || in.GetSummary().GetId() != "id-a" {
		t.Errorf("got %v, %v", in, err)
	}
	tl.finish()
	_ = tl.close()
	want := "        +12 ms  alert     it fires\n                         badly\n      +1500 ms  end       resolved\n"
	if out.String() != want {
		t.Errorf("printed\n%q, want\n%q", out.String(), want)
	}
}

func TestTaleEndsWithTheAgent(t *testing.T) {
	f := &fakeAgent{events: make(chan *localpb.TimelineEvent, 10)}
	tl, _ := follow(t, f)
	f.events <- event("a", "alert", "it fires", tl.begin("a"))
	close(f.events)
	in, err := tl.end(t.Context())
	if err == nil || in.GetSummary().GetId() != "id-a" {
		t.Errorf("got %v, %v; want what there is, and an error", in, err)
	}
}

func TestTaleGivesUp(t *testing.T) {
	tl, _ := follow(t, &fakeAgent{})
	tl.begin("a")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if in, err := tl.end(ctx); in != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, %v", in, err)
	}
}

func TestReadyWantsEveryProbe(t *testing.T) {
	services := []string{checkout, search}
	var all []*localpb.Signal
	for _, name := range services {
		all = append(all, &localpb.Signal{Name: "probe.health.ok", Of: name, Known: true, Value: 1})
	}
	for name, tc := range map[string]struct {
		signals []*localpb.Signal
		want    string
	}{
		"all there": {all, ""},
		"none yet":  {nil, "no probe of checkout yet"},
		"unknown":   {append([]*localpb.Signal{{Name: "probe.work.ok", Of: "x", Text: "unknown"}}, all...), "is unknown"},
		"false":     {append([]*localpb.Signal{{Name: "probe.work.ok", Of: "x", Known: true, Text: "false"}}, all...), "is false"},
	} {
		t.Run(name, func(t *testing.T) {
			tl, _ := follow(t, &fakeAgent{signals: tc.signals})
			got, err := tl.missing(t.Context(), services)
			if err != nil || (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("missing is %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}
