package local

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/salveops/salve/proto/localpb"
)

// Listings of incidents.
const (
	defaultLimit = 50
	maxLimit     = 1000
	maxReplay    = 1000 // events of Watch
)

// Bounds of what people type.
const (
	maxReason   = 500 // bytes of a reason or comment
	maxPauseFor = 366 * 24 * time.Hour
)

// api answers the gRPC calls: it checks the request, asks the backend, translates the answer.
type api struct {
	localpb.UnimplementedAgentServer
	backend Backend
	stop    <-chan struct{} // closed when the server stops: streams end
}

var _ localpb.AgentServer = (*api)(nil)

func (a *api) Status(ctx context.Context, _ *localpb.StatusRequest) (*localpb.StatusResponse, error) {
	st, err := a.backend.Status(ctx)
	if err != nil {
		return nil, err
	}
	return &localpb.StatusResponse{Status: statusPB(st)}, nil
}

func (a *api) Signals(ctx context.Context, r *localpb.SignalsRequest) (*localpb.SignalsResponse, error) {
	if _, err := path.Match(r.GetMatch(), ""); err != nil {
		return nil, fmt.Errorf("glob %q is %w", r.GetMatch(), ErrInvalid)
	}
	all, err := a.backend.Signals(ctx)
	if err != nil {
		return nil, err
	}
	out := &localpb.SignalsResponse{}
	for _, s := range all {
		if s.matches(r.GetMatch()) {
			out.Signals = append(out.Signals, signalPB(s))
		}
	}
	return out, nil
}

func (a *api) Alerts(ctx context.Context, r *localpb.AlertsRequest) (*localpb.AlertsResponse, error) {
	all, err := a.backend.Alerts(ctx, r.GetService())
	if err != nil {
		return nil, err
	}
	return &localpb.AlertsResponse{Alerts: each(all, liveAlertPB)}, nil
}

func (a *api) Incidents(ctx context.Context, r *localpb.IncidentsRequest) (*localpb.IncidentsResponse, error) {
	limit := int(r.GetLimit())
	if limit == 0 {
		limit = defaultLimit
	}
	f := IncidentFilter{Service: r.GetService(), Open: r.GetOpen(), Limit: min(limit, maxLimit)}
	all, err := a.backend.Incidents(ctx, f)
	if err != nil {
		return nil, err
	}
	return &localpb.IncidentsResponse{Incidents: each(all, summaryPB)}, nil
}

func (a *api) Incident(ctx context.Context, r *localpb.IncidentRequest) (*localpb.IncidentResponse, error) {
	id, err := checkID(r.GetId())
	if err != nil {
		return nil, err
	}
	s, err := a.backend.Incident(ctx, id)
	if err != nil {
		return nil, err
	}
	return &localpb.IncidentResponse{Incident: incidentPB(s)}, nil
}

func (a *api) ListPauses(ctx context.Context, _ *localpb.ListPausesRequest) (*localpb.ListPausesResponse, error) {
	all, err := a.backend.Pauses(ctx)
	if err != nil {
		return nil, err
	}
	return &localpb.ListPausesResponse{Pauses: each(all, pausePB)}, nil
}

func (a *api) Pause(ctx context.Context, r *localpb.PauseRequest) (*localpb.PauseResponse, error) {
	scope, err := Scope(r.GetTarget())
	if err != nil {
		return nil, err
	}
	d, err := pauseFor(r)
	if err != nil {
		return nil, err
	}
	reason, err := checkText("reason", r.GetReason())
	if err != nil {
		return nil, err
	}
	p, err := a.backend.Pause(ctx, scope, d, reason, caller(ctx, r.GetOperator()))
	if err != nil {
		return nil, err
	}
	return &localpb.PauseResponse{Pause: pausePB(p)}, nil
}

// pauseFor is how long to pause, 0 for no end, which must be asked for in so many words.
func pauseFor(r *localpb.PauseRequest) (time.Duration, error) {
	if r.GetFor() == nil {
		if !r.GetUntilResumed() {
			return 0, fmt.Errorf("pause without an end that does not say until_resumed %w", ErrInvalid)
		}
		return 0, nil
	}
	d := r.GetFor().AsDuration()
	if r.GetUntilResumed() {
		return 0, fmt.Errorf("pause with an end and until_resumed %w", ErrInvalid)
	}
	if d <= 0 || d > maxPauseFor {
		return 0, fmt.Errorf("pause of %s %w: more than nothing and at most a year", d, ErrInvalid)
	}
	return d, nil
}

func (a *api) Resume(ctx context.Context, r *localpb.ResumeRequest) (*localpb.ResumeResponse, error) {
	what := strings.TrimSpace(r.GetWhat())
	if what == "" {
		return nil, fmt.Errorf("resume of nothing %w: name a pause, a unit, a service, or all", ErrInvalid)
	}
	ended, err := a.backend.Resume(ctx, what, caller(ctx, r.GetOperator()))
	if errors.Is(err, ErrNotFound) { // no pause has that ID, so it names a target
		var scope string
		if scope, err = Scope(what); err != nil {
			return nil, err
		}
		ended, err = a.backend.Resume(ctx, scope, caller(ctx, r.GetOperator()))
	}
	if err != nil {
		return nil, err
	}
	return &localpb.ResumeResponse{Ended: each(ended, pausePB)}, nil
}

func (a *api) Acknowledge(ctx context.Context, r *localpb.AcknowledgeRequest) (*localpb.AcknowledgeResponse, error) {
	id, err := checkID(r.GetId())
	if err != nil {
		return nil, err
	}
	comment, err := checkText("comment", r.GetComment())
	if err != nil {
		return nil, err
	}
	s, err := a.backend.Acknowledge(ctx, id, r.GetKeepHealing(), comment, caller(ctx, r.GetOperator()))
	if err != nil {
		return nil, err
	}
	return &localpb.AcknowledgeResponse{Incident: summaryPB(s)}, nil
}

func (a *api) Release(ctx context.Context, r *localpb.ReleaseRequest) (*localpb.ReleaseResponse, error) {
	id, err := checkID(r.GetId())
	if err != nil {
		return nil, err
	}
	s, err := a.backend.Release(ctx, id, caller(ctx, r.GetOperator()))
	if err != nil {
		return nil, err
	}
	return &localpb.ReleaseResponse{Incident: summaryPB(s)}, nil
}

func (a *api) Doctor(ctx context.Context, _ *localpb.DoctorRequest) (*localpb.DoctorResponse, error) {
	all, err := a.backend.Doctor(ctx)
	if err != nil {
		return nil, err
	}
	return &localpb.DoctorResponse{Findings: each(all, findingPB)}, nil
}

func (a *api) Reload(ctx context.Context, r *localpb.ReloadRequest) (*localpb.ReloadResponse, error) {
	re, err := a.backend.Reload(ctx, caller(ctx, r.GetOperator()))
	if err != nil {
		return nil, err
	}
	return &localpb.ReloadResponse{Digest: re.Digest, Warnings: re.Warnings}, nil
}

func (a *api) Run(r *localpb.RunRequest, out grpc.ServerStreamingServer[localpb.RunResponse]) error {
	if r.GetRemedy() == "" {
		return fmt.Errorf("run without a remedy %w", ErrInvalid)
	}
	ctx, cancel := a.streamContext(out.Context())
	defer cancel()
	req := RunRequest{
		Remedy:   r.GetRemedy(),
		Instance: r.GetInstance(),
		DryRun:   r.GetDryRun(),
		By:       caller(ctx, r.GetOperator()),
	}
	res, err := a.backend.Run(ctx, req, func(e Event) error {
		return out.Send(&localpb.RunResponse{Step: &localpb.RunResponse_Event{Event: eventPB(e)}})
	})
	if err != nil {
		return err
	}
	return out.Send(&localpb.RunResponse{Step: &localpb.RunResponse_Result{Result: &localpb.RunResult{
		Attempt: res.Attempt, Incident: res.Incident, Verdict: res.Verdict, Reason: res.Reason,
	}}})
}

func (a *api) Watch(r *localpb.WatchRequest, out grpc.ServerStreamingServer[localpb.WatchResponse]) error {
	ctx, cancel := a.streamContext(out.Context())
	defer cancel()
	replay := min(int(r.GetReplay()), maxReplay)
	return a.backend.Watch(ctx, replay, func(e Event) error {
		if r.GetService() != "" && r.GetService() != e.Service {
			return nil
		}
		return out.Send(&localpb.WatchResponse{Event: eventPB(e)})
	})
}

// streamContext ends with the call and with the server, so that a watcher does not hold up its stop.
func (a *api) streamContext(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-a.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
