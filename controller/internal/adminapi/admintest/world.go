package admintest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// Host is a made-up host that speaks to a Log the way an agent does.
type Host struct {
	log      *Log
	ID, Name string
	Ahead    time.Duration // of its clock
	epoch    uint64
	asked    uint64
	event    uint64
	hellos   int
	services []string
	print    string
}

// NewHost is a host that has not said hello. Its ID is its number, sixteen times.
func NewHost(l *Log, number int, name string, services ...string) *Host {
	id := strings.Repeat(fmt.Sprintf("%02x", number), 16)
	return &Host{log: l, ID: id, Name: name, services: services, print: "print-of-" + name}
}

// Do brings a command into the log; a refusal is an error.
func Do(l *Log, c *logpb.Command) (*logpb.Result, error) {
	r, _, err := l.Propose(context.Background(), c)
	if err != nil {
		return nil, err
	}
	if f := r.GetRefusal(); f != nil {
		return nil, fmt.Errorf("refused (%s): %s", f.GetCode(), f.GetText())
	}
	return r, nil
}

// Hello begins a session.
func (h *Host) Hello() error {
	h.hellos++
	c := &logpb.Hello{
		Host: h.ID, Name: h.Name, Fingerprint: h.print, BootId: "boot-1", LastEpoch: h.epoch,
		Nonce: fmt.Sprintf("%s-%d", h.Name, h.hellos), Stream: "stream-of-" + h.Name, LastEvent: h.event, Version: "v0.3.0",
		NewStream: "another-stream-of-" + h.Name, NewGeneration: "33333333333333333333333333333333",
		Labels: []*logpb.Label{{Name: "rack", Value: "r1"}},
	}
	h.log.View(func(s *state.State) { c.Generation = s.Generation() })
	for _, s := range h.services {
		c.Services = append(c.Services, &logpb.ServiceReport{Service: s, Serving: logpb.Serving_SERVING_YES})
	}
	r, err := Do(h.log, &logpb.Command{What: &logpb.Command_Hello{Hello: c}})
	if err != nil {
		return err
	}
	h.epoch = r.GetWelcome().GetEpoch()
	return nil
}

// Confirm says that the host has all standing orders on its disk.
func (h *Host) Confirm() error {
	c := &logpb.ConfirmStanding{Host: h.ID, Epoch: h.epoch}
	h.log.View(func(s *state.State) { c.Generation, c.Index = s.Generation(), s.Index() })
	_, err := Do(h.log, &logpb.Command{What: &logpb.Command_ConfirmStanding{ConfirmStanding: c}})
	return err
}

// Tell sends events, which get their numbers here.
func (h *Host) Tell(events ...*logpb.Event) error {
	for _, e := range events {
		h.event++
		e.N = h.event
		if a := e.GetFired(); a != nil {
			a.Key = &logpb.AlertKey{Host: h.ID, Stream: "stream-of-" + h.Name, N: e.GetN()}
			a.HostName = h.Name
		}
	}
	_, err := Do(h.log, &logpb.Command{What: &logpb.Command_Events{Events: &logpb.Events{
		Host: h.ID, Epoch: h.epoch, Stream: "stream-of-" + h.Name, Event: events,
	}}})
	return err
}

// Fired is an alert of the host, in its own incident of that name.
func (h *Host) Fired(local, rule, service, instance, severity, condition string, values ...string) *logpb.Event {
	return &logpb.Event{What: &logpb.Event_Fired{Fired: &logpb.Alert{
		Rule: rule, Service: service, Instance: instance, Severity: severity, Condition: condition, Values: values,
		HostFired: h.now(), Local: local, EscalateAfter: int64(5 * time.Minute),
	}}}
}

// Cleared ends the alert that was the host's event number n.
func (h *Host) Cleared(n uint64, verified bool) *logpb.Event {
	return &logpb.Event{What: &logpb.Event_Resolved{Resolved: &logpb.AlertEnd{
		Key: &logpb.AlertKey{Host: h.ID, Stream: "stream-of-" + h.Name, N: n}, Verified: verified,
	}}}
}

// Line is a line of the host's own timeline; fields are names and values in turn.
func (h *Host) Line(local, typ, text string, fields ...string) *logpb.Event {
	e := &logpb.TimelineEvent{HostAt: h.now(), Type: typ, Text: text}
	for i := 0; i+1 < len(fields); i += 2 {
		e.Fields = append(e.Fields, &logpb.Label{Name: fields[i], Value: fields[i+1]})
	}
	return &logpb.Event{What: &logpb.Event_Story{Story: &logpb.Story{Local: local, Event: e}}}
}

func (h *Host) now() int64 { return h.log.Now().Add(h.Ahead).UnixNano() }

// Ask asks for a permit to run a remedy.
func (h *Host) Ask(local, service, rule, remedy string) (*logpb.Grant, error) {
	h.asked++
	digest := sha256.Sum256([]byte(remedy))
	r, err := Do(h.log, &logpb.Command{What: &logpb.Command_Request{Request: &logpb.Request{
		Host: h.ID, Epoch: h.epoch, N: h.asked, Incident: local, Service: service, Rule: rule, Remedy: remedy,
		Digest: digest[:], Unit: service + ".service",
	}}})
	return r.GetGrant(), err
}

// Settle says how the attempt under a permit ended.
func (h *Host) Settle(g *logpb.Grant, how logpb.Settlement) error {
	_, err := Do(h.log, &logpb.Command{What: &logpb.Command_Settle{Settle: &logpb.Settle{
		Host: h.ID, SessionEpoch: h.epoch, Token: g.GetToken(), Epoch: g.GetEpoch(), Settlement: how,
	}}})
	return err
}

// Configure is what the made-up cluster decides by.
func Configure() *logpb.Config {
	one := uint32(1)
	return &logpb.Config{
		Digest: []byte("0123456789abcdef"),
		Services: []*logpb.Service{
			{Name: "checkout", MaxUnavailable: &one, Autonomy: "full", Owners: "team-checkout"},
			{Name: "db", MaxUnavailable: &one, Autonomy: "full", Escalation: "default"},
		},
		Escalations: []*logpb.Escalation{{Name: "default", Steps: []*logpb.Step{
			{Notify: []string{"email.ops"}}, {After: int64(5 * time.Minute), Notify: []string{"pagerduty.ops"}},
		}}},
		Windows: []*logpb.Window{{
			Name: "backup", Services: []string{"db"}, Days: []uint32{1, 2, 3, 4, 5}, From: "22:00", To: "23:30",
			Zone: "Europe/Berlin", Reason: "nightly dump",
		}},
	}
}
