//go:build lab

package scenario

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/packaging/lab/booted"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/localpb"
	"github.com/salveops/salve/proto/logpb"
)

// salve runs the command line at the desk.
func (f *fleet) salve(args ...string) (string, error) { return f.salveOn(f.desk, args...) }

// salveOn runs it on a host, of whose agent it asks.
func (f *fleet) salveOn(h *booted.Host, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(f.ctx(), 20*time.Second)
	defer cancel()
	return h.Exec(ctx, append([]string{"salve"}, args...)...)
}

// ask runs it at the desk, where it must work.
func (f *fleet) ask(args ...string) string {
	f.t.Helper()
	out, err := f.salve(args...)
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// read runs a command with -o json and reads its answer.
func (f *fleet) read(h *booted.Host, answer proto.Message, args ...string) error {
	out, err := f.salveOn(h, append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	if err := protojson.Unmarshal([]byte(out), answer); err != nil {
		return fmt.Errorf("read what salve %s says: %w", strings.Join(args, " "), err)
	}
	return nil
}

// hosts are all that the controller knows.
func (f *fleet) hosts() (map[string]*adminpb.HostStatus, error) {
	var r adminpb.ListHostsResponse
	err := f.read(f.desk, &r, "hosts")
	out := map[string]*adminpb.HostStatus{}
	for _, h := range r.GetHosts() {
		out[h.GetHost().GetName()] = h
	}
	return out, err
}

// strangers says which hosts the controller does not have as it should, "" if there are none.
func (f *fleet) strangers() string {
	hosts, err := f.hosts()
	if err != nil {
		return err.Error()
	}
	var missing []string
	for _, w := range f.web {
		s := hosts[w.Name]
		h := s.GetHost()
		if !s.GetConnected() || len(h.GetServices()) == 0 || h.GetLost() || h.GetAwaited() || h.GetQuarantined() != "" {
			missing = append(missing, fmt.Sprintf("%s is known %t, connected %t, with %d services, lost %t, awaited %t, quarantined %q",
				w.Name, s != nil, s.GetConnected(), len(h.GetServices()), h.GetLost(), h.GetAwaited(), h.GetQuarantined()))
		}
	}
	if len(hosts) != len(f.web) {
		missing = append(missing, fmt.Sprintf("%d hosts are known", len(hosts)))
	}
	return strings.Join(missing, "; ")
}

// permits are the open ones.
func (f *fleet) permits() ([]*logpb.Permit, error) {
	var r adminpb.ListPermitsResponse
	err := f.read(f.desk, &r, "permits")
	return r.GetPermits(), err
}

// incidents are those that have not ended, or all.
func (f *fleet) incidents(flags ...string) ([]*logpb.Incident, error) {
	var r adminpb.ListIncidentsResponse
	err := f.read(f.desk, &r, append([]string{"incidents", "--limit", "1000"}, flags...)...)
	return r.GetIncidents(), err
}

// local are the incidents of a host's own journal, the newest first.
func (f *fleet) local(h *booted.Host) ([]*localpb.IncidentSummary, error) {
	var r localpb.IncidentsResponse
	err := f.read(h, &r, "agent", "incidents", "--limit", "1000")
	return r.GetIncidents(), err
}

// serves reports whether the shop on a host does what it should, seen from outside.
func (f *fleet) serves(h *booted.Host) bool {
	ctx, cancel := context.WithTimeout(f.ctx(), time.Second)
	defer cancel()
	for _, path := range []string{"/healthz", "/work"} {
		a, err := f.shops[h].Get(ctx, path)
		if err != nil || a.Status != http.StatusOK {
			return false
		}
	}
	return true
}

// unwell are the hosts whose shop does not do what it should.
func (f *fleet) unwell() string {
	var out []string
	for _, h := range f.web {
		if !f.serves(h) {
			out = append(out, h.Name)
		}
	}
	return strings.Join(out, ", ")
}

// restless says what Salve has not brought to an end yet.
func (f *fleet) restless() string {
	permits, err := f.permits()
	if err != nil {
		return err.Error()
	}
	for _, p := range permits {
		return fmt.Sprintf("permit %d for %s on %s is open", p.GetToken().GetN(), p.GetRemedy(), p.GetHost())
	}
	incidents, err := f.incidents()
	if err != nil {
		return err.Error()
	}
	for _, i := range incidents {
		return fmt.Sprintf("incident %.8s (%s) is %v", i.GetId(), i.GetTitle(), i.GetState())
	}
	return ""
}

// awaitWell waits until every host is known, every shop serves, and nothing is left to do.
func (f *fleet) awaitWell() {
	f.t.Helper()
	f.eventually(upTime, "every host is known", f.strangers)
	f.eventually(upTime, "every shop serves", f.unwell)
	f.eventually(upTime, "Salve is at rest", f.restless)
}

// whole: all is well, the audit has nothing that must not be, and nobody was told what is not signed.
func (f *fleet) whole() {
	f.t.Helper()
	f.awaitWell()
	f.audit.judge(f)
	f.ask("audit", "verify")
	for _, p := range f.pager.Pages() {
		if p.Problem != nil {
			f.t.Errorf("a message that is not to be believed: %v", p.Problem)
		}
	}
}

// fault makes the shop of a host ill; see the service's list of faults.
func (f *fleet) fault(h *booted.Host, fault string) {
	f.t.Helper()
	f.tell("fault %s on %s", fault, h.Name)
	ctx, cancel := context.WithTimeout(f.ctx(), 5*time.Second)
	defer cancel()
	if err := f.shops[h].Fault(ctx, fault); err != nil {
		f.t.Fatal(err)
	}
}

// crash kills the shop's main process on a host.
func (f *fleet) crash(h *booted.Host) {
	f.t.Helper()
	f.tell("the shop on %s crashes", h.Name)
	f.sh(h, "systemctl kill --kill-whom=main --signal=KILL "+shop)
}

// leader is the node that leads.
func (f *fleet) leader() *booted.Host {
	f.t.Helper()
	var out *booted.Host
	f.eventually(upTime, "somebody leads", func() string {
		var r adminpb.StatusResponse
		if err := f.read(f.desk, &r, "status"); err != nil {
			return err.Error()
		}
		i := slices.IndexFunc(f.ctl, func(h *booted.Host) bool { return h.Name == r.GetLeader() })
		if i < 0 {
			return fmt.Sprintf("%q leads", r.GetLeader())
		}
		out = f.ctl[i]
		return ""
	})
	return out
}
