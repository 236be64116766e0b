package model

import (
	"encoding/json"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Disk is the journal of an agent: what survives when it dies.
type Disk struct {
	Record   []byte            // a permit.Record
	Intents  map[string]Intent // by attempt
	Standing *agentpb.Standing // nil: none came yet
	Stream   string
	Events   []*logpb.Event // of the stream, the first has number 1
	Alerts   []Alert        // that fire, or have no acknowledged end
}

// Intent is an attempt with a permit, written down before anything is done.
type Intent struct {
	permit.Restored
	Want
}

// Alert is one firing of a rule on this host.
type Alert struct {
	Rule, Service, Local string
	Key                  *logpb.AlertKey // of the stream in which it was told last
	Over                 bool
}

func newDisk(stream string) *Disk { return &Disk{Intents: map[string]Intent{}, Stream: stream} }

// Copy is a backup.
func (d *Disk) Copy() *Disk {
	c := &Disk{Record: slices.Clone(d.Record), Intents: maps.Clone(d.Intents), Stream: d.Stream,
		Events: slices.Clone(d.Events), Alerts: slices.Clone(d.Alerts)}
	if d.Standing != nil {
		c.Standing = proto.CloneOf(d.Standing)
	}
	return c
}

func (d *Disk) write(r permit.Record) {
	raw, err := json.Marshal(r)
	if err != nil {
		panic("a record that cannot be written: " + err.Error())
	}
	d.Record = raw
}

func (d *Disk) read() permit.Record {
	if len(d.Record) == 0 {
		return permit.Record{}
	}
	r, err := permit.ReadRecord(d.Record)
	if err != nil {
		panic("a record that cannot be read: " + err.Error())
	}
	return r
}

// settled writes down how an attempt ended.
func (d *Disk) settled(attempt string, s permit.Settlement) {
	if i, ok := d.Intents[attempt]; ok && i.Settlement == "" {
		i.Settlement = s
		d.Intents[attempt] = i
	}
}

// cleared writes down that nothing of an attempt runs, and that the controller knows.
func (d *Disk) cleared(t permit.Token) {
	for id, i := range d.Intents {
		if i.Token == t {
			i.Cleared = true
			d.Intents[id] = i
		}
	}
}

// tell adds an event to the journal.
func (d *Disk) tell(e *logpb.Event) *logpb.Event {
	e.N = uint64(len(d.Events)) + 1
	d.Events = append(d.Events, e)
	return e
}

// fire journals an alert.
func (d *Disk) fire(host string, a Alert) {
	e := d.tell(&logpb.Event{})
	a.Key = &logpb.AlertKey{Host: host, Stream: d.Stream, N: e.GetN()}
	e.What = &logpb.Event_Fired{Fired: &logpb.Alert{Key: a.Key, Rule: a.Rule, Service: a.Service, Severity: "critical",
		Local: a.Local}}
	d.Alerts = append(d.Alerts, a)
}

// calm journals that an alert is over.
func (d *Disk) calm(i int, verified bool) {
	a := &d.Alerts[i]
	a.Over = true
	d.tell(&logpb.Event{What: &logpb.Event_Resolved{Resolved: &logpb.AlertEnd{Key: a.Key, Verified: verified}}})
}

// begin goes on in another stream, because the journal went back: what still fires is told anew.
func (d *Disk) begin(host, stream string) {
	old := d.Alerts
	d.Stream, d.Events, d.Alerts = stream, nil, nil
	for _, a := range old {
		if !a.Over {
			d.fire(host, a)
		}
	}
}

// Local is the host's own incident for a service, "" if nothing of it fires.
func (d *Disk) Local(service string) string {
	for _, a := range d.Alerts {
		if a.Service == service && !a.Over {
			return a.Local
		}
	}
	return ""
}
