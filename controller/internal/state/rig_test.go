package state

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/salveops/salve/proto/logpb"
)

const minute = 60 * second

// rig is a fleet whose agents have journals, with people who are told of incidents.
type rig struct {
	*fleet
	journal map[string]uint64 // host → last event
	labels  map[string][]*logpb.Label
}

// people are the chat at once, and after five minutes the pager, which repeats.
func people() []*logpb.Escalation {
	return []*logpb.Escalation{
		{Name: "default", Steps: []*logpb.Step{
			{Notify: []string{"slack.ops"}},
			{After: 5 * minute, Notify: []string{"pagerduty.payments"}, Repeat: 1},
		}},
		{Name: "db", Steps: []*logpb.Step{{Notify: []string{"email.dba", "email.boss"}}, {Notify: []string{"slack.ops"}}}},
	}
}

func newRig(t *testing.T) *rig {
	r := &rig{fleet: newFleet(t), journal: map[string]uint64{}, labels: map[string][]*logpb.Label{}}
	r.configure(&logpb.Config{Escalations: people()})
	return r
}

// joins says hello for hosts that run a service, which may depend on others.
func (r *rig) joins(service string, dependsOn []string, hosts ...string) {
	r.t.Helper()
	for _, host := range hosts {
		c := r.greet(host, service)
		h := c.GetHello()
		h.Services[0].DependsOn, h.Services[0].Detection, h.Labels = dependsOn, 2*second, r.labels[host]
		for _, hs := range r.s.Host(host).GetServices() {
			h.Services = append(h.Services, &logpb.ServiceReport{
				Service: hs.GetService(), Serving: hs.GetServing(), DependsOn: hs.GetDependsOn(),
			})
		}
		r.epoch[host], r.n[host] = r.must(c).GetWelcome().GetEpoch(), 0
	}
	for host := range r.epoch {
		if h := r.s.Host(host); !h.GetRemoved() && !h.GetLost() {
			r.confirm(host)
		}
	}
}

// says adds an event to a host's journal and brings it to the controller.
func (r *rig) says(host string, e *logpb.Event) uint64 {
	r.t.Helper()
	r.at += second / 1000
	r.journal[host]++
	e.N = r.journal[host]
	r.events(host, e)
	return e.N
}

// fires is an alert; mods may change it.
func (r *rig) fires(host, service, rule string, mods ...func(*logpb.Alert)) uint64 {
	r.t.Helper()
	a := &logpb.Alert{
		Rule: rule, Service: service, Severity: "warning", Condition: rule + " holds",
		Local: "local " + service + " of " + host,
	}
	for _, m := range mods {
		m(a)
	}
	return r.says(host, &logpb.Event{What: &logpb.Event_Fired{Fired: a}})
}

func severity(s string) func(*logpb.Alert)  { return func(a *logpb.Alert) { a.Severity = s } }
func instance(s string) func(*logpb.Alert)  { return func(a *logpb.Alert) { a.Instance = s } }
func escalates(s string) func(*logpb.Alert) { return func(a *logpb.Alert) { a.Escalation = s } }
func patience(d int64) func(*logpb.Alert)   { return func(a *logpb.Alert) { a.EscalateAfter = d } }
func blind(a *logpb.Alert)                  { a.Blind = true }

func (r *rig) clears(host string, n uint64, verified bool) {
	r.t.Helper()
	r.says(host, &logpb.Event{What: &logpb.Event_Resolved{Resolved: &logpb.AlertEnd{
		Key: &logpb.AlertKey{Host: host, Stream: r.s.Host(host).GetStream(), N: n}, Verified: verified}}})
}

func (r *rig) tells(host, local, kind, text string) {
	r.t.Helper()
	r.says(host, &logpb.Event{What: &logpb.Event_Story{Story: &logpb.Story{Local: local,
		Event: &logpb.TimelineEvent{Type: kind, Text: text}}}})
}

func (r *rig) handsOver(host, service, reason string) {
	r.t.Helper()
	r.says(host, &logpb.Event{What: &logpb.Event_HandOver{HandOver: &logpb.HandOver{
		Local: "local " + service + " of " + host, Reason: reason}}})
}

// later lets time pass as the arbiter does: a tick whenever one is due.
func (r *rig) later(d int64) {
	r.t.Helper()
	end := r.at + d
	for n := 0; ; n++ {
		due := r.s.Due()
		if due == 0 || due > end {
			break
		}
		if n > 10_000 {
			r.t.Fatalf("ticks without end: due at %d, at %d", due, r.at)
		}
		r.at = max(r.at, due)
		r.tick(0)
		if again := r.s.Due(); again != 0 && again <= r.at {
			r.t.Fatalf("a tick at %d leaves one due at %d", r.at, again)
		}
	}
	r.at = end
}

// courier sends what is due and says what was sent: "trigger checkout/0/0 slack.ops".
func (r *rig) courier() []string {
	r.t.Helper()
	var out []string
	for due := r.s.DeliveriesDue(); len(due) > 0; due = r.s.DeliveriesDue() {
		for _, m := range due {
			r.delivers(m, logpb.DeliveryState_DELIVERY_STATE_CLAIMED)
			out = append(out, r.describe(m))
			r.delivers(m, logpb.DeliveryState_DELIVERY_STATE_TOLD)
		}
	}
	return out
}

func (r *rig) delivers(m *logpb.Delivery, how logpb.DeliveryState, mods ...func(*logpb.Delivered)) {
	r.t.Helper()
	r.must(delivered(m, how, mods...))
}

func delivered(m *logpb.Delivery, how logpb.DeliveryState, mods ...func(*logpb.Delivered)) *logpb.Command {
	c := &logpb.Delivered{Key: m.GetKey(), Notifier: m.GetNotifier(), State: how, Node: "ctl-1", Error: "an error"}
	for _, mod := range mods {
		mod(c)
	}
	return command(c)
}

// describe is a message with names in the place of hashes.
func (r *rig) describe(m *logpb.Delivery) string {
	name, rest, _ := strings.Cut(m.GetKey(), "/")
	if i := r.s.incidents[name]; i != nil {
		name = orText(i.GetService(), i.GetRule())
	} else if r.s.aliases[name] != nil {
		name = "merged"
	}
	return fmt.Sprintf("%s %s/%s %s", m.GetKind(), name, rest, m.GetNotifier())
}

// sent expects what the courier sends now.
func (r *rig) sent(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.courier(), equateEmpty()); diff != "" {
		r.t.Errorf("sent (-want +got):\n%s", diff)
	}
}

// sees expects the incidents that are kept, oldest first: "checkout open: down@web-1 slow@web-2(postgres)". An
// alert that is over is in brackets, and what mutes one is behind it.
func (r *rig) sees(want ...string) {
	r.t.Helper()
	var got []string
	for _, i := range slices.Backward(r.s.Incidents()) {
		var alerts []string
		for _, a := range r.s.AlertsOf(i.GetId()) {
			text := a.GetRule() + "@" + a.GetKey().GetHost()
			if a.GetMuted() != "" {
				text += "(" + a.GetMuted() + ")"
			}
			if a.GetResolved() != 0 {
				text = "[" + text + "]"
			}
			alerts = append(alerts, text)
		}
		state := strings.ToLower(strings.TrimPrefix(i.GetState().String(), "INCIDENT_STATE_"))
		got = append(got, fmt.Sprintf("%s %s: %s", orText(i.GetService(), i.GetRule()), state, strings.Join(alerts, " ")))
	}
	if diff := cmp.Diff(want, got, equateEmpty()); diff != "" {
		r.t.Errorf("incidents (-want +got):\n%s", diff)
	}
}

func orText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func equateEmpty() cmp.Option {
	return cmp.FilterValues(func(a, b []string) bool { return len(a)+len(b) == 0 }, cmp.Ignore())
}

// incident is the newest open one of a service.
func (r *rig) incident(service string) *logpb.Incident {
	r.t.Helper()
	for _, i := range r.s.Incidents() {
		if i.GetService() == service {
			return i
		}
	}
	r.t.Fatalf("%s has no incident", service)
	return nil
}

// wrote expects a text in the timeline.
func (r *rig) wrote(i *logpb.Incident, text string) {
	r.t.Helper()
	var all []string
	for _, e := range i.GetTimeline() {
		all = append(all, e.GetType()+": "+e.GetText())
	}
	if !strings.Contains(strings.Join(all, "\n"), text) {
		r.t.Errorf("nothing says %q in\n%s", text, strings.Join(all, "\n"))
	}
}

// warns expects a text in the warnings.
func (r *rig) warns(text string) {
	r.t.Helper()
	if all := strings.Join(r.s.Warnings(), "\n"); !strings.Contains(all, text) {
		r.t.Errorf("nothing says %q in\n%s", text, all)
	}
}

func (r *rig) acks(i *logpb.Incident, keep bool) {
	r.t.Helper()
	r.must(command(&logpb.Acknowledge{
		Incident: i.GetId(), By: "kim", KeepHealing: keep}))
}

func releases(i *logpb.Incident) *logpb.Command {
	return command(&logpb.Release{Incident: i.GetId(), By: "kim"})
}

func resolves(i *logpb.Incident) *logpb.Command {
	return command(&logpb.ResolveIncident{
		Incident: i.GetId(), By: "kim", Reason: "seen to"})
}

func (r *rig) silences(length int64, match ...string) string {
	r.t.Helper()
	c := &logpb.SilenceCommand{By: "kim", Reason: "known", For: length}
	for _, m := range match {
		name, value, _ := strings.Cut(m, "=")
		c.Match = append(c.Match, &logpb.Label{Name: name, Value: value})
	}
	return r.must(command(c)).GetId()
}

// complainer is a *testing.T or a *rapid.T.
type complainer interface {
	Helper()
	Errorf(format string, args ...any)
}

// sound is what must hold after every step.
func sound(t complainer, s *State) {
	t.Helper()
	if err := s.Verify(); err != nil {
		t.Errorf("%v", err)
	}
	for _, a := range s.alerts {
		i := s.incidents[a.GetIncident()]
		if i == nil || ended(i) && a.GetResolved() == 0 {
			t.Errorf("alert %v is in no incident that may have it: %v", a.GetKey(), i)
		}
	}
	for _, i := range s.incidents {
		if len(i.GetTimeline()) > 1000 || len(i.GetEvidence()) > maxEvidence {
			t.Errorf("incident %s is too long", i.GetId())
		}
	}
	for _, m := range s.derived.waiting {
		i := s.incidents[m.GetIncident()]
		if i != nil && ended(i) && m.GetKind() != resolve && m.GetState() != logpb.DeliveryState_DELIVERY_STATE_CLAIMED {
			t.Errorf("%s may follow the end of its incident", m.GetKey())
		}
	}
	for id, alias := range s.aliases {
		if s.incidents[id] != nil || s.aliases[alias.GetIncident()] != nil {
			t.Errorf("alias %s → %s names an incident twice", id, alias.GetIncident())
		}
	}
}

// command wraps what a command is about.
func command(m proto.Message) *logpb.Command {
	c := (&logpb.Command{}).ProtoReflect()
	fields := c.Descriptor().Fields()
	for n := range fields.Len() {
		if fields.Get(n).Message().FullName() == m.ProtoReflect().Descriptor().FullName() {
			c.Set(fields.Get(n), protoreflect.ValueOfMessage(m.ProtoReflect()))
		}
	}
	return c.Interface().(*logpb.Command)
}
