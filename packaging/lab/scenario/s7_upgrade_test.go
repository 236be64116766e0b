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
	f.underLoad("the nodes change", func() {
		for _, h := range f.ctl {
			f.awaitIll()
			f.upgradeNode(h, release)
		}
	})
	f.underLoad("the agents change", func() {
		for _, h := range f.web {
			f.awaitIll()
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
}

// underLoad does something while shops become ill all the time. Each is healed once for each time, and no two that
// still served are taken down at once.
func (f *fleet) underLoad(name string, do func()) {
	f.t.Helper()
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
	f.repairsApart(since, 1)
	f.t.Logf("while %s shops were ill %d times in %v", name, all, time.Since(since).Round(time.Second))
}

// awaitIll waits until a shop is ill, so that what comes next comes in the middle of a repair.
func (f *fleet) awaitIll() {
	f.t.Helper()
	f.eventually(upTime, "a shop is ill", func() string {
		if f.unwell() == "" {
			return "all are well"
		}
		return ""
	})
}

// install puts packages onto a host, of whatever release was there before.
func (f *fleet) install(h *booted.Host, version string, names ...string) {
	f.t.Helper()
	f.tell("%s gets %s of %s", h.Name, strings.Join(names, " and "), version)
	f.must(f.tryInstall(h, version, names...))
}

// upgradeNode returns when the node is back in the cluster.
func (f *fleet) upgradeNode(h *booted.Host, version string) {
	f.t.Helper()
	f.install(h, version, "salve-controller")
	f.eventually(upTime, h.Name+" is back in the cluster", func() string { return f.away(h) })
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

// TestUpgradeInAction: an agent is upgraded in the middle of a repair, and then the leader. What was begun is brought to
// its end under its permit, done once, and told as one story.
func TestUpgradeInAction(t *testing.T) {
	f := open(t)
	h := f.web[1]
	f.rollTo(previous, h)
	f.slowStartOf(h, 15*time.Second)
	t.Run("agent", func(t *testing.T) {
		told := "the agent was restarted while restart-it was under way: it had run; it is being verified"
		f.repairAcross(h, told, func() { f.install(h, release, "salve-agent") })
	})
	t.Run("leader", func(t *testing.T) {
		f.repairAcross(h, "restart-it begins", func() {
			leader := f.leader()
			f.install(leader, release, "salve-controller")
			if f.leader() == leader {
				t.Errorf("%s still leads", leader.Name)
			}
			if permits, err := f.permits(); err != nil || len(permits) != 1 {
				t.Errorf("to the new leader %v are open: %v", permits, err)
			}
		})
	})
	f.slowStartOf(h, 0)
	f.rollTo(release, h)
}

// repairAcross makes the shop on a host ill, and does something while it is being repaired, of which the story tells.
func (f *fleet) repairAcross(h *booted.Host, told string, do func()) {
	f.t.Helper()
	since := time.Now()
	f.fault(h, "errors?ratio=1")
	f.awaitActing(h)
	permits, err := f.permits()
	if err != nil || len(permits) != 1 {
		f.t.Fatalf("it acts, and %v are open: %v", permits, err)
	}
	do()
	f.awaitWell()
	if n := f.jobs(h, since); n != 1 {
		f.t.Errorf("the shop was ill once, and had %d jobs", n)
	}
	f.toldOnce(told, permits[0].GetToken().GetN())
}

// rollTo has all nodes, and a host, run another release, one after the other.
func (f *fleet) rollTo(version string, agent *booted.Host) {
	f.t.Helper()
	for _, h := range f.ctl {
		f.upgradeNode(h, version)
	}
	f.install(agent, version, "salve-agent")
	f.eventually(upTime, agent.Name+" is back", f.strangers)
}

// toldOnce: the newest incident is over, and its story goes from one attempt under that permit to the end.
func (f *fleet) toldOnce(what string, permit uint64) {
	f.t.Helper()
	story := f.ask("explain", "last")
	for want, times := range map[string]int{
		what: 1, "restart-it begins": 1, fmt.Sprintf("permit %d@", permit): 2, " is settled: serving": 1,
		"verify    restart-it: verified": 1, "resolved: restart-it healed it": 1, "healed: every alert is over": 2,
	} {
		if n := strings.Count(story, want); n != times {
			f.t.Errorf("the story says %q %d times, and should say it %d times:\n%s", want, n, times, story)
		}
	}
}
