package local_test

import (
	"context"
	"errors"
	"io"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/agent/internal/local/localtest"
	"github.com/salveops/salve/proto/localpb"
)

func TestStoryKeepsItsTimes(t *testing.T) {
	w := serve(t, localtest.New(), local.Options{})
	r, err := w.agent.Incident(patient(t), &localpb.IncidentRequest{Id: "1F0C"})
	if err != nil {
		t.Fatal(err)
	}
	s := r.GetIncident().GetSummary()
	got := map[string]time.Duration{
		"detect": s.GetDetect().AsDuration(), "act": s.GetAct().AsDuration(), "verify": s.GetVerify().AsDuration(),
		"total": s.GetTotal().AsDuration(), "intent": r.GetIncident().GetTimeline()[2].GetOffset().AsDuration(),
	}
	want := map[string]time.Duration{
		"detect": 2 * time.Millisecond, "act": 19 * time.Millisecond, "verify": 5031 * time.Millisecond,
		"total": 5053 * time.Millisecond, "intent": 2 * time.Millisecond,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
	if got := r.GetIncident().GetAttempts()[0].GetOutcome(); got != "verified" {
		t.Errorf("outcome is %q", got)
	}
	if got := len(r.GetIncident().GetEvidence()); got != 2 {
		t.Errorf("%d pieces of evidence, want 2", got)
	}
}

func TestWhatIsNotKnownIsAbsent(t *testing.T) {
	w := serve(t, localtest.New(), local.Options{})
	r, err := w.agent.Incident(patient(t), &localpb.IncidentRequest{Id: "last"})
	if err != nil {
		t.Fatal(err)
	}
	s := r.GetIncident().GetSummary()
	if s.Detect != nil || s.Act != nil || s.Verify != nil || s.Ended != nil || r.GetIncident().Escalation != nil {
		t.Errorf("a story that has just begun has times of its end: %v", s)
	}
	sig, err := w.agent.Signals(patient(t), &localpb.SignalsRequest{Match: "unit.memory_bytes"})
	if err != nil {
		t.Fatal(err)
	}
	if s := sig.GetSignals()[0]; s.GetKnown() || s.Age != nil {
		t.Errorf("unknown signal is %v", s)
	}
}

func TestSignalGlobs(t *testing.T) {
	w := serve(t, localtest.New(), local.Options{})
	for glob, want := range map[string]int{
		"": 4, "host.*": 1, "unit.*": 2, "unit.failed{worker@2.service}": 1, "*{checkout}": 1, "nothing": 0,
	} {
		r, err := w.agent.Signals(patient(t), &localpb.SignalsRequest{Match: glob})
		if err != nil || len(r.GetSignals()) != want {
			t.Errorf("%q: %d signals, error %v; want %d", glob, len(r.GetSignals()), err, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	fake := localtest.New()
	fake.Refuse = "agent.hcl:1,1: no"
	w := serve(t, fake, local.Options{})
	a, ctx := w.agent, patient(t)
	pause := func(r *localpb.PauseRequest) error { _, err := a.Pause(ctx, r); return err }
	find := func(id string) error {
		_, err := a.Incident(ctx, &localpb.IncidentRequest{Id: id})
		return err
	}
	run := func(remedy string) error {
		s, err := a.Run(ctx, &localpb.RunRequest{Remedy: remedy})
		if err != nil {
			return err
		}
		_, err = s.Recv()
		return err
	}
	_, ack := a.Acknowledge(ctx, &localpb.AcknowledgeRequest{Id: "1f0c"})
	_, comment := a.Acknowledge(ctx, &localpb.AcknowledgeRequest{Id: "last", Comment: strings.Repeat("x", 501)})
	_, release := a.Release(ctx, &localpb.ReleaseRequest{Id: "last"})
	_, resume := a.Resume(ctx, &localpb.ResumeRequest{What: "checkout"})
	_, resumeNothing := a.Resume(ctx, &localpb.ResumeRequest{})
	_, reload := a.Reload(ctx, &localpb.ReloadRequest{})
	_, glob := a.Signals(ctx, &localpb.SignalsRequest{Match: "["})
	_, huge := a.Signals(ctx, &localpb.SignalsRequest{Match: strings.Repeat("x", 1<<17)})
	tests := []struct {
		name string
		err  error
		code codes.Code
		text string
	}{
		{"no such incident", find("ffff"), codes.NotFound, "incident ffff not found"},
		{"ambiguous", find("2ab"), codes.InvalidArgument, "ambiguous"},
		{"empty ID", find(""), codes.InvalidArgument, "hex digits"},
		{"ID of other letters", find("xyz"), codes.InvalidArgument, "hex digits"},
		{"ID too long", find(strings.Repeat("a", 33)), codes.InvalidArgument, "hex digits"},
		{"pause without end", pause(&localpb.PauseRequest{Target: "all"}), codes.InvalidArgument, "until_resumed"},
		{
			"pause with two ends",
			pause(&localpb.PauseRequest{Target: "all", For: durationpb.New(1), UntilResumed: true}),
			codes.InvalidArgument, "and until_resumed",
		},
		{
			"pause backwards", pause(&localpb.PauseRequest{Target: "all", For: durationpb.New(-1)}),
			codes.InvalidArgument, "at most a year",
		},
		{
			"pause for ages", pause(&localpb.PauseRequest{Target: "all", For: durationpb.New(1 << 60)}),
			codes.InvalidArgument, "at most a year",
		},
		{"pause nothing", pause(&localpb.PauseRequest{UntilResumed: true}), codes.InvalidArgument, "target"},
		{
			"pause of the unknown", pause(&localpb.PauseRequest{Target: "nix", UntilResumed: true}),
			codes.NotFound, "service:nix",
		},
		{
			"pause with a novel",
			pause(&localpb.PauseRequest{Target: "all", UntilResumed: true, Reason: strings.Repeat("x", 501)}),
			codes.InvalidArgument, "at most 500",
		},
		{"ack of what ended", ack, codes.FailedPrecondition, "has ended"},
		{"ack with a novel", comment, codes.InvalidArgument, "comment"},
		{"release of what nobody has", release, codes.FailedPrecondition, "nobody has it"},
		{"resume of what is not paused", resume, codes.NotFound, "service:checkout"},
		{"resume of nothing", resumeNothing, codes.InvalidArgument, "nothing"},
		{"reload refused", reload, codes.FailedPrecondition, "agent.hcl:1,1: no"},
		{"bad glob", glob, codes.InvalidArgument, "glob"},
		{"huge request", huge, codes.ResourceExhausted, "larger than max"},
		{"run nothing", run(""), codes.InvalidArgument, "without a remedy"},
		{"run the unknown", run("nix"), codes.NotFound, "nix"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if status.Code(tt.err) != tt.code || !strings.Contains(status.Convert(tt.err).Message(), tt.text) {
				t.Errorf("got %v; want %v with %q", tt.err, tt.code, tt.text)
			}
		})
	}
}

func TestPauseAndResumeKnowWhoDidIt(t *testing.T) {
	w := serve(t, localtest.New(), local.Options{})
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for claim, want := range map[string]string{
		"":                   me.Username,
		me.Username:          me.Username,
		"alice":              me.Username + " (for alice)",
		"eve)\n(for root":    me.Username + " (for evefor root)",
		" \t":                me.Username,
		"\xff" + "bad bytes": "",
	} {
		r, err := w.agent.Pause(patient(t), &localpb.PauseRequest{
			Target: "checkout.service", For: durationpb.New(time.Minute), Operator: claim,
		})
		if want == "" { // protobuf itself refuses bytes that are no text
			if err == nil {
				t.Errorf("operator %q is accepted", claim)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := r.GetPause().GetBy(); got != want {
			t.Errorf("operator %q: by %q, want %q", claim, got, want)
		}
	}
	r, err := w.agent.Resume(patient(t), &localpb.ResumeRequest{What: "unit:checkout.service"})
	if err != nil || len(r.GetEnded()) != 5 {
		t.Fatalf("resumed %v, error %v", r.GetEnded(), err)
	}
	left, err := w.agent.ListPauses(patient(t), &localpb.ListPausesRequest{})
	if err != nil || len(left.GetPauses()) != 0 {
		t.Errorf("left %v, error %v", left.GetPauses(), err)
	}
}

func TestRunStreamsAndEndsWithTheResult(t *testing.T) {
	w := serve(t, localtest.New(), local.Options{})
	s, err := w.agent.Run(patient(t), &localpb.RunRequest{Remedy: "checkout/restart-app", DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.GetEvent().GetType()+r.GetResult().GetVerdict())
	}
	if diff := cmp.Diff([]string{"decide", "would_run"}, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestWatchReplaysFiltersAndEndsWithTheServer(t *testing.T) {
	w := serve(t, localtest.New(), local.Options{})
	s, err := w.agent.Watch(patient(t), &localpb.WatchRequest{Replay: 3, Service: "report"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"alert", "decide"} {
		r, err := s.Recv()
		if err != nil || r.GetEvent().GetType() != want {
			t.Fatalf("got %v, error %v; want %s", r, err, want)
		}
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	// A watcher that held the stop up would be cut off in the end, and its stream be Unavailable.
	if _, err := s.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("the stream ends with %v", err)
	}
}

// dirty is a backend whose texts come from outside.
type dirty struct{ *localtest.Fake }

func (dirty) Incident(context.Context, string) (local.Story, error) {
	s := localtest.New().Stories[2]
	s.Title = "bad \xff byte"
	s.Evidence[0].Text = "\xc3\x28"
	s.Alerts[0].Values[0].Text = "\xfe"
	s.Timeline[1].Fields = map[string]string{"k\xff": "v\xff", "good": "\xff"}
	return s, nil
}

func TestBytesThatAreNoTextAreReplaced(t *testing.T) {
	w := serve(t, dirty{localtest.New()}, local.Options{})
	r, err := w.agent.Incident(patient(t), &localpb.IncidentRequest{Id: "last"})
	if err != nil {
		t.Fatal(err)
	}
	i := r.GetIncident()
	got := []string{
		i.GetSummary().GetTitle(), i.GetEvidence()[0].GetText(), i.GetAlerts()[0].GetValues()[0].GetText(),
		i.GetTimeline()[1].GetFields()["k\uFFFD"], i.GetTimeline()[1].GetFields()["good"],
	}
	want := []string{"bad \uFFFD byte", "\uFFFD(", "\uFFFD", "v\uFFFD", "\uFFFD"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}
