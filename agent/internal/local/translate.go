package local

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/localpb"
)

// each translates every element.
func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, 0, len(in))
	for _, a := range in {
		out = append(out, f(a))
	}
	return out
}

// stampPB is the wall time of a stamp, nil if it was never set.
func stampPB(s clock.Stamp) *timestamppb.Timestamp {
	if s.IsZero() {
		return nil
	}
	return timestamppb.New(s.Wall)
}

// between is the time from a to b, nil if either was never set.
func between(a, b clock.Stamp) *durationpb.Duration {
	if a.IsZero() || b.IsZero() {
		return nil
	}
	return durationpb.New(a.Age(b))
}

// agePB leaves out a negative age: there was nothing yet.
func agePB(d time.Duration) *durationpb.Duration {
	if d < 0 {
		return nil
	}
	return durationpb.New(d)
}

func bundlePB(b Bundle) *localpb.RuleBundle {
	return &localpb.RuleBundle{Name: b.Name, Digest: b.Digest, Rules: uint32(b.Rules), Shadowed: b.Shadowed, Absent: b.Absent,
		Problem: b.Problem}
}

func statusPB(st Status) *localpb.Status {
	out := &localpb.Status{
		Host:     st.Host,
		Version:  st.Version,
		Uptime:   durationpb.New(st.Uptime),
		Autonomy: st.Autonomy,
		Healthy:  len(st.Problems) == 0,
		Problems: st.Problems,
		Configuration: &localpb.Configuration{
			Files:    st.Config.Files,
			Digest:   st.Config.Digest,
			Loaded:   timestamppb.New(st.Config.Loaded),
			Warnings: st.Config.Warnings,
			Refused:  st.Config.Refused,
			Bundles:  each(st.Config.Bundles, bundlePB),
		},
		Services:      each(st.Services, servicePB),
		Pauses:        each(st.Pauses, pausePB),
		Sources:       each(st.Sources, sourcePB),
		Alerts:        map[string]uint32{},
		Incidents:     map[string]uint32{},
		RemediesHour:  uint32(st.RemediesHour),
		RemediesLimit: uint32(st.RemediesLimit),
		Rules:         uint32(st.Rules),
		TickLast:      durationpb.New(st.Tick.Last),
		TickMax:       durationpb.New(st.Tick.Max),
	}
	if c := st.Controller; c != nil {
		out.Controller = &localpb.ControllerLine{
			Addresses: c.Addresses, Connected: c.Connected, Address: c.Address, Problem: c.Problem,
			Since: durationpb.New(c.Since), Silent: durationpb.New(c.Silent), Epoch: c.Epoch, Generation: c.Generation,
			Unsent: c.Unsent, Permits: uint32(c.Permits), Pauses: each(c.Pauses, pausePB),
		}
	}
	for s, n := range st.Alerts {
		if n > 0 {
			out.Alerts[s] = uint32(n)
		}
	}
	for s, n := range st.Incidents {
		if n > 0 {
			out.Incidents[string(s)] = uint32(n)
		}
	}
	return out
}

func servicePB(s Service) *localpb.Service {
	return &localpb.Service{
		Name:     s.Name,
		Unit:     s.Unit,
		Autonomy: s.Autonomy,
		Units: each(s.Units, func(u UnitState) *localpb.UnitState {
			return &localpb.UnitState{Name: u.Name, State: u.State, Sub: u.Sub}
		}),
		Incident: s.Incident,
		Held:     s.Held,
	}
}

func sourcePB(s Source) *localpb.Source {
	out := &localpb.Source{Name: s.Name, Ok: s.Err == nil, Duration: durationpb.New(s.Duration), Age: agePB(s.Age)}
	if s.Err != nil {
		out.Error = s.Err.Error()
	}
	return out
}

func signalPB(s Signal) *localpb.Signal {
	out := &localpb.Signal{
		Name:      s.Name,
		Of:        s.Of,
		Dimension: s.Dimension,
		Value:     s.Value,
		Known:     s.Known,
		Text:      s.Text,
		Age:       agePB(s.Age),
		Source:    s.Source,
		Help:      s.Help,
	}
	if s.Every > 0 {
		out.Every = durationpb.New(s.Every)
	}
	if u := s.Usual; u != nil {
		out.Usual = &localpb.Usual{Low: u.Low, High: u.High, Score: u.Score, Known: u.Known, Text: u.Text}
	}
	return out
}

func pausePB(p incident.Pause) *localpb.Pause {
	out := &localpb.Pause{Id: p.ID, Scope: p.Scope, By: p.By, Reason: p.Reason, From: stampPB(p.From)}
	if p.For > 0 {
		out.Until = timestamppb.New(p.From.Wall.Add(p.For))
	}
	return out
}

func findingPB(f Finding) *localpb.Finding {
	return &localpb.Finding{About: f.About, Verdict: f.Verdict, Text: f.Text, Hint: f.Hint}
}

func valuePB(v incident.Value) *localpb.Value {
	return &localpb.Value{Signal: v.Signal, Value: v.Value, Known: v.Known, Text: v.Text}
}

func alertPB(a incident.Alert) *localpb.Alert {
	return &localpb.Alert{
		Rule:      a.Rule,
		Service:   a.Service,
		Instance:  a.Instance,
		Severity:  a.Severity,
		Fired:     stampPB(a.Fired),
		Resolved:  stampPB(a.Resolved),
		Condition: a.Condition,
		Values:    each(a.Values, valuePB),
		Blind:     a.Blind,
		Muted:     a.Muted,
	}
}

func liveAlertPB(a Alert) *localpb.Alert {
	out := alertPB(a.Alert)
	out.State = a.State
	out.Since = stampPB(a.Since)
	out.Flapping = a.Flapping
	out.Incident = a.Incident
	return out
}
