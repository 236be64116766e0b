// Package localtest is an agent without a host: a local.Backend that keeps a small, fixed world in
// memory, for tests of the socket's API and of the command line. Times in it never move.
package localtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/incident"
)

// Fake is a local.Backend. Its fields may be changed before it is served.
type Fake struct {
	State    local.Status
	Series   []local.Signal
	Firing   []local.Alert
	Stories  []local.Story // the newest first
	Findings []local.Finding
	Past     []local.Event
	Refuse   string // why Reload is refused; "" accepts
	Panic    bool   // Doctor panics

	mu     sync.Mutex
	pauses []incident.Pause
	made   int // pauses so far, for their IDs

	changes []local.Change // the newest first
}

var _ local.Backend = (*Fake)(nil)

// New is a healthy agent with two services and three incidents: one healed, one escalated, one that
// autonomy observe left alone.
func New() *Fake {
	stories := []local.Story{observed(), escalated(), healed()}
	f := &Fake{
		State:    status(),
		Series:   signals(),
		Firing:   alerts(),
		Stories:  stories,
		Findings: findings(),
	}
	for i := len(stories) - 1; i >= 0; i-- {
		s := stories[i]
		for _, e := range s.Timeline {
			f.Past = append(f.Past, local.Event{Event: e, Incident: s.ID, Service: s.Service, Opened: s.Opened})
		}
	}
	return f
}

// Status implements local.Viewer.
func (f *Fake) Status(context.Context) (local.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.State
	st.Pauses = append([]incident.Pause(nil), f.pauses...)
	return st, nil
}

// Signals implements local.Viewer.
func (f *Fake) Signals(context.Context) ([]local.Signal, error) { return f.Series, nil }

// Alerts implements local.Viewer.
func (f *Fake) Alerts(_ context.Context, service string) ([]local.Alert, error) {
	var out []local.Alert
	for _, a := range f.Firing {
		if service == "" || a.Service == service {
			out = append(out, a)
		}
	}
	return out, nil
}

// Incidents implements local.Viewer.
func (f *Fake) Incidents(_ context.Context, filter local.IncidentFilter) ([]local.Story, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []local.Story
	for _, s := range f.Stories {
		if filter.Service != "" && s.Service != filter.Service || filter.Open && s.State == incident.Resolved {
			continue
		}
		if len(out) < filter.Limit {
			out = append(out, s)
		}
	}
	return out, nil
}

// Incident implements local.Viewer.
func (f *Fake) Incident(_ context.Context, id string) (local.Story, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.find(id)
	if err != nil {
		return local.Story{}, err
	}
	return *s, nil
}

func (f *Fake) find(id string) (*local.Story, error) {
	var found *local.Story
	for n := range f.Stories {
		if id == "last" {
			return &f.Stories[n], nil
		}
		if strings.HasPrefix(f.Stories[n].ID, id) {
			if found != nil {
				return nil, fmt.Errorf("incident %s is ambiguous, so the request is %w: type more of it", id, local.ErrInvalid)
			}
			found = &f.Stories[n]
		}
	}
	if found == nil {
		return nil, fmt.Errorf("incident %s %w", id, local.ErrNotFound)
	}
	return found, nil
}

// Pauses implements local.Viewer.
func (f *Fake) Pauses(context.Context) ([]incident.Pause, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]incident.Pause(nil), f.pauses...), nil
}

// Changes implements local.Viewer.
func (f *Fake) Changes(context.Context) ([]local.Change, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.changes), nil
}

// RecordChange implements local.Operator.
func (f *Fake) RecordChange(_ context.Context, kind, service, text, by string) (local.Change, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if service != "" && !f.knows("service:"+service) {
		return local.Change{}, fmt.Errorf("service %s %w", service, local.ErrNotFound)
	}
	x := local.Change{ID: fmt.Sprintf("change-%d", len(f.changes)+1), At: at(time.Hour), Kind: kind, Service: service, Text: text, By: by}
	f.changes = slices.Insert(f.changes, 0, x)
	return x, nil
}

// Doctor implements local.Viewer.
func (f *Fake) Doctor(context.Context) ([]local.Finding, error) {
	if f.Panic {
		panic("the doctor is ill")
	}
	return f.Findings, nil
}

// Watch implements local.Viewer.
func (f *Fake) Watch(ctx context.Context, replay int, send func(local.Event) error) error {
	for _, e := range f.Past[max(0, len(f.Past)-replay):] {
		if err := send(e); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// Pause implements local.Operator. Only configured services and their units can be paused.
func (f *Fake) Pause(_ context.Context, scope string, d time.Duration, reason, by string) (incident.Pause, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.knows(scope) {
		return incident.Pause{}, fmt.Errorf("%s %w: no service has it", scope, local.ErrNotFound)
	}
	f.made++
	p := incident.Pause{
		ID: fmt.Sprintf("p%d", f.made), Scope: scope, By: by, Reason: reason, From: at(time.Hour), For: d,
	}
	f.pauses = append(f.pauses, p)
	return p, nil
}

func (f *Fake) knows(scope string) bool {
	if scope == "all" {
		return true
	}
	for _, s := range f.State.Services {
		if scope == "service:"+s.Name {
			return true
		}
		for _, u := range s.Units {
			if scope == "unit:"+u.Name {
				return true
			}
		}
	}
	return false
}

// Resume implements local.Operator.
func (f *Fake) Resume(_ context.Context, what, _ string) ([]incident.Pause, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ended, stay []incident.Pause
	for _, p := range f.pauses {
		if p.ID == what || p.Scope == what {
			ended = append(ended, p)
		} else {
			stay = append(stay, p)
		}
	}
	if len(ended) == 0 {
		return nil, fmt.Errorf("pause of %s %w", what, local.ErrNotFound)
	}
	f.pauses = stay
	return ended, nil
}

// Acknowledge implements local.Operator.
func (f *Fake) Acknowledge(_ context.Context, id string, keep bool, _, by string) (local.Story, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.find(id)
	if err != nil {
		return local.Story{}, err
	}
	if s.State == incident.Resolved {
		return local.Story{}, fmt.Errorf("acknowledging incident %.12s %w: it has ended", s.ID, local.ErrRefused)
	}
	s.State, s.AckBy, s.Keep = incident.Acknowledged, by, keep
	return *s, nil
}

// Release implements local.Operator.
func (f *Fake) Release(_ context.Context, id, _ string) (local.Story, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.find(id)
	if err != nil {
		return local.Story{}, err
	}
	if s.State != incident.Acknowledged {
		return local.Story{}, fmt.Errorf("releasing incident %.12s %w: nobody has it", s.ID, local.ErrRefused)
	}
	s.State, s.AckBy, s.Keep = incident.Escalated, "", false
	return *s, nil
}

// Run implements local.Operator: restart-app works, drain-pool is ineffective, delete-all is refused.
func (f *Fake) Run(_ context.Context, r local.RunRequest, send func(local.Event) error) (local.RunResult, error) {
	switch r.Remedy[strings.IndexByte(r.Remedy, '/')+1:] {
	case "restart-app":
	case "drain-pool":
		return local.RunResult{Attempt: "a9", Incident: f.Stories[0].ID, Verdict: "ineffective", Reason: "still slow"}, nil
	case "delete-all":
		return local.RunResult{Verdict: "refused", Reason: "no allow block permits it"}, nil
	default:
		return local.RunResult{}, fmt.Errorf("remedy %q %w", r.Remedy, local.ErrNotFound)
	}
	event := local.Event{Service: "checkout", Event: incident.Event{
		At: at(time.Hour), Type: incident.EvDecide, Text: r.By + " asked for restart-app",
	}}
	if err := send(event); err != nil {
		return local.RunResult{}, err
	}
	if r.DryRun {
		return local.RunResult{Verdict: "would_run", Reason: "restart of checkout.service"}, nil
	}
	return local.RunResult{
		Attempt: "a9", Incident: f.Stories[2].ID, Verdict: "verified", Reason: "probe.health.ok for 5 s",
	}, nil
}

// Reload implements local.Operator.
func (f *Fake) Reload(context.Context, string) (local.Reloaded, error) {
	if f.Refuse != "" {
		return local.Reloaded{}, fmt.Errorf("the configuration %w: %s", local.ErrRefused, f.Refuse)
	}
	return local.Reloaded{
		Digest:   f.State.Config.Digest,
		Warnings: []string{`agent.hcl:3,1: there is no escalation "default"`},
	}, nil
}

// Line is a line to the controller, established or not.
func Line(up bool) *local.Controller {
	l := &local.Controller{
		Addresses: []string{"127.0.0.1:7600", "127.0.0.1:7700"}, Connected: true, Address: "127.0.0.1:7600",
		Since: 2 * time.Hour, Silent: 1200 * time.Millisecond, Epoch: 3, Generation: "11111111111111111111111111111111", Permits: 1,
	}
	if !up {
		l.Connected, l.Address, l.Problem = false, "", "the node sees no leader, for 1m0s now"
		l.Since, l.Silent, l.Unsent, l.Permits = 3*time.Minute, 3*time.Minute, 12, 0
		l.Pauses = []incident.Pause{{ID: "pause-7", Scope: "service:checkout", By: "kim", Reason: "release", From: at(0)}}
	}
	return l
}
