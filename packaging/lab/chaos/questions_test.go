package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/localpb"
	"github.com/salveops/salve/proto/logpb"
)

// ask asks the controllers with the command line.
func (f *fleet) ask(answer proto.Message, args ...string) error {
	ctx, cancel := context.WithTimeout(f.t.Context(), 15*time.Second)
	defer cancel()
	return f.salve.Ask(ctx, answer, args...)
}

// askNode asks one node.
func (f *fleet) askNode(i int, answer proto.Message, args ...string) error {
	ctx, cancel := context.WithTimeout(f.t.Context(), 15*time.Second)
	defer cancel()
	return rig.Salve{Binary: f.programs.Salve, Where: []string{"--address", f.addresses[i]}}.Ask(ctx, answer, args...)
}

// strangers says which hosts the controllers do not have as they should, "" if there are none.
func (f *fleet) strangers() string {
	var r adminpb.ListHostsResponse
	if err := f.ask(&r, "hosts"); err != nil {
		return err.Error()
	}
	var missing []string
	for i := range hosts {
		j := slices.IndexFunc(r.GetHosts(), func(h *adminpb.HostStatus) bool { return h.GetHost().GetName() == host(i) })
		switch {
		case j < 0:
			missing = append(missing, host(i)+" is not known")
		case !r.GetHosts()[j].GetConnected():
			missing = append(missing, host(i)+" is not connected")
		case len(r.GetHosts()[j].GetHost().GetServices()) != len(services):
			missing = append(missing, host(i)+" has not reported its services")
		}
		if j >= 0 {
			h := r.GetHosts()[j].GetHost()
			if h.GetLost() || h.GetAwaited() || h.GetRemoved() || h.GetQuarantined() != "" {
				missing = append(missing, fmt.Sprintf("%s is lost %t, awaited %t, removed %t, quarantined %q",
					host(i), h.GetLost(), h.GetAwaited(), h.GetRemoved(), h.GetQuarantined()))
			}
		}
	}
	if len(r.GetHosts()) != hosts {
		missing = append(missing, fmt.Sprintf("%d hosts are known", len(r.GetHosts())))
	}
	return strings.Join(missing, ", ")
}

// incidents are all that the controllers keep, each with its alerts.
func (f *fleet) incidents() ([]*adminpb.GetIncidentResponse, error) {
	var list adminpb.ListIncidentsResponse
	if err := f.ask(&list, "incidents", "--all", "--limit", "1000"); err != nil {
		return nil, err
	}
	var out []*adminpb.GetIncidentResponse
	for _, i := range list.GetIncidents() {
		r := &adminpb.GetIncidentResponse{}
		if err := f.ask(r, "incidents", i.GetId()); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// permits are the open ones.
func (f *fleet) permits() ([]*logpb.Permit, error) {
	var r adminpb.ListPermitsResponse
	err := f.ask(&r, "permits")
	return r.GetPermits(), err
}

// journal are the incidents that one agent has in its own journal.
func (f *fleet) journal(i int) ([]*localpb.Incident, error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	defer cancel()
	agent := rig.Salve{Binary: f.programs.Salve, Where: []string{"--socket", f.sockets[i]}}
	var list localpb.IncidentsResponse
	if err := agent.Ask(ctx, &list, "agent", "incidents", "--limit", "1000"); err != nil {
		return nil, err
	}
	var out []*localpb.Incident
	for _, s := range list.GetIncidents() {
		i := &localpb.Incident{}
		if err := agent.Ask(ctx, i, "agent", "explain", s.GetId()); err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}

// auditor reads the audit while everything is being broken, and compares it with what systemd does.
type auditor struct {
	f       *fleet
	ledger  *Ledger
	witness *Witness
	wrong   map[uint32]string // what must not have happened, by number of the job

	judged bool // what is wrong has been said

	lost map[string]bool // permits whose host was lost meanwhile, by token

	reads, seen int // times that the audit was read, and that a job was found running meanwhile
}

// String says how much was put to the test.
func (a *auditor) String() string {
	return fmt.Sprintf("%d permits, ended as %v, %d of hosts that were lost; %d pauses; %d jobs of systemd, on up to %d "+
		"hosts of a service at once; the audit was read %d times, and %d times with a job running", a.ledger.Grants(),
		a.ledger.Settled(), len(a.lost), a.ledger.Pauses(), a.witness.Total(), a.witness.Most(), a.reads, a.seen)
}

// watch begins to audit; stop ends it, after one last look.
func (f *fleet) watch() (a *auditor, stop func()) {
	f.t.Helper()
	a = &auditor{f: f, ledger: NewLedger(limits, serviceOf), wrong: map[uint32]string{},
		lost: map[string]bool{}}
	var err error
	a.witness, err = Watch(f.manager.Address, limits, func(unit string) (Place, bool) {
		for p := range f.patients {
			if unitOf(p) == unit {
				return p, true
			}
		}
		return Place{}, false
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = a.witness.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for pause(ctx, 300*time.Millisecond) {
			_ = a.look() // there may be no quorum now
		}
	}()
	f.t.Cleanup(func() {
		cancel()
		<-ended
		a.complain() // also where the test ended early
	})
	return a, func() {
		f.t.Helper()
		cancel()
		<-ended
		f.eventually(upTime, "the audit can be read", func() string {
			if err := a.look(); err != nil {
				return err.Error()
			}
			return ""
		})
		if err := a.witness.Close(); err != nil { // what a person does from here on is not Salve's
			f.t.Error(err)
		}
	}
}

// complain says what must not have happened, once.
func (a *auditor) complain() {
	a.f.t.Helper()
	if a.judged {
		return
	}
	a.judged = true
	for _, wrong := range slices.Concat(slices.Sorted(maps.Values(a.wrong)), a.ledger.Wrong(), a.witness.Wrong()) {
		a.f.t.Error(wrong)
	}
}

// look reads what is new in the audit. A job that ran before it was read and still runs afterwards must have a
// permit at the point of the log where it was read: permits are settled only when nothing runs any more.
func (a *auditor) look() error {
	ctx, cancel := context.WithTimeout(a.f.t.Context(), 15*time.Second)
	defer cancel()
	before, err := a.witness.Jobs(ctx)
	if err != nil {
		return err
	}
	for more := true; more; {
		var r adminpb.ListAuditResponse
		after := fmt.Sprint(a.ledger.After())
		if err := a.f.salve.Ask(ctx, &r, "audit", "--after", after, "--limit", "500"); err != nil {
			return err
		}
		a.ledger.Take(r.GetRecords())
		more = len(r.GetRecords()) == 500
	}
	a.reads++
	still, err := a.witness.Jobs(ctx)
	if err != nil {
		return err
	}
	for id, p := range before {
		if still[id] != p {
			continue
		}
		a.seen++
		if !a.ledger.Holds(p) {
			a.wrong[id] = fmt.Sprintf("systemd acts on %v, and no permit for that is open: record %d is the last", p,
				a.ledger.last.GetN())
		}
	}
	return a.countLost(ctx)
}

// countLost notes which of the open permits have a host that is lost: they are what must not be given to another.
func (a *auditor) countLost(ctx context.Context) error {
	var r adminpb.ListHostsResponse
	if err := a.f.salve.Ask(ctx, &r, "hosts"); err != nil {
		return err
	}
	for _, h := range r.GetHosts() {
		for token, p := range a.ledger.open {
			if h.GetHost().GetLost() && p.Host == h.GetHost().GetName() {
				a.lost[token] = true
			}
		}
	}
	return nil
}
