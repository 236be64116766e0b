//go:build lab

package scenario

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/salveops/salve/packaging/lab/booted"
	"github.com/salveops/salve/proto/adminpb"
)

// TestRollingUpgrade: a fleet of the previous release is upgraded under load, node by node and then host by host, with
// the data that it has. All the time shops become ill, and each is healed once. No more are out than may be, nobody is
// without a leader for long, and no permit and no incident is lost.
//
// There was no release before this one, so the two differ in nothing but the number. What older code wrote is opened by
// TestOldData.
func TestRollingUpgrade(t *testing.T) {
	f := bare(t)
	pack(t, previous)
	f.installAll(previous)
	f.enrolAll()
	f.allRun(previous)
	throne := f.watchThrone()
	f.underLoad("while-nodes-change", func() {
		for _, h := range f.ctl {
			f.install(h, release, "salve-controller")
			f.eventually(upTime, h.Name+" is back in the cluster", func() string { return f.away(h) })
		}
	})
	f.underLoad("while-agents-change", func() {
		for _, h := range f.web {
			f.install(h, release, "salve-agent", "salve")
			f.eventually(upTime, h.Name+" is back", f.strangers)
		}
	})
	f.install(f.desk, release, "salve")
	empty := throne.end()

	f.allRun(release)
	f.eventually(upTime, "no incident is lost", f.lostIncidents)
	if empty > 10*time.Second { // which is what makes a host lost
		t.Errorf("nobody led for %v", empty)
	}
	t.Logf("nobody led for %v at most", empty.Round(time.Millisecond))
	f.freshRemedies("it")
}

// underLoad does something while shops become ill all the time. Each is healed once for each time.
func (f *fleet) underLoad(name string, do func()) {
	f.t.Helper()
	f.freshRemedies(name)
	since := time.Now()
	w := f.startWeather()
	do()
	w.end()
	f.awaitWell()
	all := 0
	for _, h := range f.web {
		fell := w.falls[h]
		if jobs := f.jobs(h, since); jobs != fell {
			f.t.Errorf("the shop on %s was ill %d times, and repaired %d times", h.Name, fell, jobs)
		}
		all += fell
	}
	if all < len(f.web) {
		f.t.Errorf("the shops were ill only %d times: that is no load", all)
	}
	f.t.Logf("%s: %d repairs in %v", name, all, time.Since(since).Round(time.Second))
}

// install puts packages onto a host, of whatever release was there before.
func (f *fleet) install(h *booted.Host, version string, names ...string) {
	f.t.Helper()
	f.tell("%s gets %s of %s", h.Name, strings.Join(names, " and "), version)
	f.must(f.tryInstall(h, version, names...))
}

// away says why the leader would not count on a node, "" if it does.
func (f *fleet) away(h *booted.Host) string {
	var r adminpb.ListPeersResponse
	if err := f.read(f.desk, &r, "raft", "peers"); err != nil {
		return err.Error()
	}
	for _, p := range r.GetPeers() {
		name, _, _ := strings.Cut(p.GetId(), "/")
		if name == h.Name && (p.GetLeader() || p.GetHeard() >= 0 && p.GetHeard() < int64(time.Second)) {
			return ""
		}
	}
	return fmt.Sprintf("%s is not among %v", h.Name, r.GetPeers())
}

// allRun: every program of the fleet that runs is of that release, and says so.
func (f *fleet) allRun(version string) {
	f.t.Helper()
	for _, h := range f.ctl {
		var r adminpb.StatusResponse
		f.must(f.read(f.desk, &r, "status", "--stale", "--address", h.Name+":7600"))
		if !strings.Contains(r.GetVersion(), version) {
			f.t.Errorf("%s runs %s, and should run %s", h.Name, r.GetVersion(), version)
		}
	}
	f.eventually(upTime, "the controller knows that all agents run "+version, func() string {
		hosts, err := f.hosts()
		for name, h := range hosts {
			if !strings.Contains(h.GetHost().GetVersion(), version) {
				return name + " runs " + h.GetHost().GetVersion()
			}
		}
		return text(err)
	})
	for h, program := range map[*booted.Host]string{
		f.ctl[0]: "salve-controller --version", f.web[0]: "salve-agent --version", f.desk: "salve version",
	} {
		if out := f.sh(h, program); !strings.Contains(out, version) {
			f.t.Errorf("%s of %s says %s", program, h.Name, out)
		}
	}
}

// lostIncidents are those of the hosts' journals that are not in exactly one incident of the controller.
func (f *fleet) lostIncidents() string {
	incidents, err := f.incidents("--all")
	if err != nil {
		return err.Error()
	}
	in := map[string]map[string]bool{} // the controller's, by the hosts'
	for _, i := range incidents {
		var r adminpb.GetIncidentResponse
		if err := f.read(f.desk, &r, "explain", i.GetId()); err != nil {
			return err.Error()
		}
		for _, a := range r.GetAlerts() {
			if in[a.GetLocal()] == nil {
				in[a.GetLocal()] = map[string]bool{}
			}
			in[a.GetLocal()][i.GetId()] = true
		}
	}
	for _, h := range f.web {
		local, err := f.local(h)
		if err != nil {
			return err.Error()
		}
		for _, i := range local {
			if n := len(in[i.GetId()]); n != 1 {
				return fmt.Sprintf("incident %.8s of %s is in %d of the controller's: %v", i.GetId(), h.Name, n,
					slices.Sorted(maps.Keys(in[i.GetId()])))
			}
		}
	}
	return ""
}

// throne is watched for how long nobody leads, as a person at the desk sees it.
type throne struct {
	cancel  context.CancelFunc
	ended   sync.WaitGroup
	longest time.Duration
}

func (f *fleet) watchThrone() *throne {
	ctx, cancel := context.WithCancel(f.ctx())
	w := &throne{cancel: cancel}
	f.t.Cleanup(func() { w.end() })
	w.ended.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for last := time.Now(); ; {
			if f.somebodyLeads() {
				w.longest, last = max(w.longest, time.Since(last)), time.Now()
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return w
}

// end is the longest time in which nobody led.
func (w *throne) end() time.Duration {
	w.cancel()
	w.ended.Wait()
	return w.longest
}

func (f *fleet) somebodyLeads() bool {
	out, _ := f.salve("status", "-o", "json") // which fails, too, when there is something to look at
	var r adminpb.StatusResponse
	return protojson.Unmarshal([]byte(out), &r) == nil && r.GetLeader() != ""
}
