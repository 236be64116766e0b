package heal

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
	"github.com/salveops/salve/pkg/signal"
)

// Status is what the engine knows of the agent; the agent adds what it knows of its other parts.
func (e *Engine) Status(ctx context.Context) (local.Status, error) {
	var s local.Status
	err := e.call(ctx, func() {
		now := e.o.Clock.Now()
		st := e.stats.copied()
		s = local.Status{
			Host: e.cfg.Host, Uptime: now.Sub(e.started), Autonomy: string(e.cfg.Autonomy), Rules: len(e.cfg.Rules),
			Pauses: slices.Clone(e.pauses), RemediesLimit: e.cfg.PerHour, RemediesHour: e.past.LastHour(e.stamp()),
			Attempts: st.attempts, Notifications: st.notifications, Tick: st.ticks,
			Alerts: make(map[string]int), Incidents: make(map[incident.State]int),
		}
		for _, a := range e.rules.Alerts() {
			s.Alerts[a.State.String()]++
		}
		for _, st := range e.stories {
			s.Incidents[st.State]++
		}
		for _, svc := range e.cfg.Services {
			s.Services = append(s.Services, e.serviceView(svc))
		}
		s.Controller = e.lineView()
		if e.o.Units.SystemState() == "" {
			s.Problems = append(s.Problems, "no connection to systemd: nothing can be done to units")
		}
	})
	s.Journal = e.o.Journal.Healthy()
	if s.Journal != nil {
		s.Problems = append(s.Problems, "the journal cannot be written, so nothing is done: "+s.Journal.Error())
	}
	return s, err
}

// lineView is the line to the controller, nil on a host that is alone.
func (e *Engine) lineView() *local.Controller {
	if e.fleet == nil {
		return nil
	}
	st := e.fleet.Permits.State()
	return &local.Controller{
		Addresses: e.cfg.Controller.Addresses, Connected: st.Live, Address: st.Address, Problem: st.Failed, Since: st.Since,
		Silent: st.Silent, Epoch: st.Epoch, Generation: st.Generation, Unsent: st.Unsent, Permits: st.Permits,
		Pauses: e.fleet.pauses(e.stamp(), e.o.Journal.Host()),
	}
}

func (e *Engine) serviceView(svc *config.Service) local.Service {
	out := local.Service{Name: svc.Name, Unit: svc.Unit, Autonomy: string(e.autonomy(svc))}
	for _, name := range e.unitsOf(svc) {
		view := local.UnitState{Name: name, State: "missing"}
		if u, ok := e.o.Units.Unit(name); known(u, ok) {
			view.State, view.Sub = u.Active, u.Sub
		}
		out.Units = append(out.Units, view)
	}
	s := e.services[svc.Name]
	if s == nil {
		return out
	}
	out.Incident = s.ID
	for _, p := range s.ordered() {
		if d := healing.Decide(e.stamp(), e.facts(s, p)); d.Guard != healing.Clear {
			out.Held = d.Reason
		}
	}
	return out
}

// Signals lists all series.
func (e *Engine) Signals(ctx context.Context) ([]local.Signal, error) {
	var out []local.Signal
	err := e.call(ctx, func() {
		now := e.o.Clock.Now().Boot
		for k, s := range e.store.All() {
			row := local.Signal{Name: k.Signal, Of: k.Of, Dimension: s.Dim().String(), Every: s.Every(),
				Text: "unknown", Age: -1}
			if s.IsIdle(now) {
				row.Text = "idle"
			}
			if p, err := signal.ParsePath(k.Signal); err == nil {
				info := e.cfg.Describe(p, k.Of)
				row.Help, row.Source = info.Help, info.Source
			}
			if _, at, ok := s.Last(); ok {
				row.Age = now - at
				if v, ok := s.Value(now); ok {
					row.Value, row.Known, row.Text = v, true, s.Format(v)
				}
			}
			if u, ok := s.Usual(); ok {
				row.Usual = &u
			}
			out = append(out, row)
		}
	})
	return out, err
}

// Alerts lists alerts that are not at rest, of one service or of all.
func (e *Engine) Alerts(ctx context.Context, service string) ([]local.Alert, error) {
	var out []local.Alert
	err := e.call(ctx, func() {
		now := e.o.Clock.Now()
		for _, a := range e.rules.Alerts() {
			if service != "" && care.Service(a) != service {
				continue
			}
			row := local.Alert{State: a.State.String(), Since: e.stampAt(a.Since), Flapping: a.Flapping}
			severity, _ := a.Severity()
			row.Alert = incident.Alert{Rule: a.Rule.Name, Service: care.Service(a), Instance: a.Instance,
				Severity: string(severity), Condition: a.Rule.When.Text(), Values: care.Values(a.When.Readings(now)),
				Blind: a.Blind}
			if a.State.Active() {
				row.Fired = e.stampAt(a.Fired)
			}
			if s := e.services[care.Service(a)]; s != nil && s.patients[idOf(a)] != nil {
				row.Incident, row.Key = s.ID, s.patients[idOf(a)].key
				row.Muted = e.mutedBy(a)
			}
			out = append(out, row)
		}
	})
	return out, err
}

// mutedBy is the service whose incident speaks for the alert.
func (e *Engine) mutedBy(a *rule.Alert) string {
	for _, d := range e.depends(a.Service) {
		if d.Open {
			return d.Service
		}
	}
	return ""
}

// Incidents lists the newest first.
func (e *Engine) Incidents(_ context.Context, f local.IncidentFilter) ([]local.Story, error) {
	found, err := e.o.Journal.Incidents(journal.Filter{Open: f.Open, Service: f.Service, Limit: f.Limit})
	if err != nil {
		return nil, err
	}
	out := make([]local.Story, len(found))
	for i, rec := range found {
		out[i] = e.storyOf(rec)
		out[i].Timeline, out[i].Evidence = nil, nil
	}
	return out, nil
}

// Incident finds one by its ID, an unambiguous beginning of it, or "last".
func (e *Engine) Incident(_ context.Context, id string) (local.Story, error) {
	if id != "last" && len(id) == 32 {
		rec, err := e.o.Journal.Incident(id)
		if err != nil {
			return local.Story{}, fmt.Errorf("incident %s %w", id, local.ErrNotFound)
		}
		return e.storyOf(rec), nil
	}
	all, err := e.o.Journal.Incidents(journal.Filter{})
	if err != nil {
		return local.Story{}, err
	}
	if id != "last" {
		all = slices.DeleteFunc(all, func(i *incident.Incident) bool { return !strings.HasPrefix(i.ID, id) })
	}
	switch {
	case len(all) == 0:
		return local.Story{}, fmt.Errorf("incident %q %w", id, local.ErrNotFound)
	case len(all) > 1 && id != "last":
		return local.Story{}, fmt.Errorf("incident ID %q %w: it begins %d incidents", id, local.ErrInvalid, len(all))
	}
	return e.storyOf(all[0]), nil
}

// storyOf adds the attempts, and when the trouble began.
func (e *Engine) storyOf(rec *incident.Incident) local.Story {
	out := local.Story{Incident: *rec}
	if len(rec.Alerts) > 0 {
		out.Began = rec.Alerts[0].Began
	}
	for _, id := range rec.Attempts {
		if a, err := e.o.Journal.Attempt(id); err == nil {
			out.Runs = append(out.Runs, *a)
		}
	}
	slices.SortStableFunc(out.Runs, func(a, b incident.Attempt) int {
		return cmp.Compare(a.Intended.Boot, b.Intended.Boot)
	})
	return out
}

// Pauses lists what holds now.
func (e *Engine) Pauses(ctx context.Context) ([]incident.Pause, error) {
	var out []incident.Pause
	err := e.call(ctx, func() { out = slices.Clone(e.pauses) })
	return out, err
}
