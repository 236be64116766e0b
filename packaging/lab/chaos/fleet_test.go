package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/packaging/lab/rig/rigtest"
)

// The size of the fleet, and what its controllers promise.
const (
	nodes = 3
	hosts = 6
)

var (
	services = []string{"shop", "cart"}
	limits   = Limits{Cap: 2, Fleet: 3}
)

// fleet is everything that runs: three nodes, six agents, and on each host one unit of each service. All hosts share
// one systemd, as if each had its own: an agent's allow blocks name its host's units only.
type fleet struct {
	t        *testing.T
	dir      string
	programs rigtest.Programs
	manager  *agenttest.Systemd
	pager    *rig.Pager
	nodes    []*rig.Controller
	agents   []*rig.Process
	sockets  []string
	patients map[Place]*rig.Patient
	salve    rig.Salve // asks the controllers, whichever of them leads

	addresses []string  // of the nodes
	artifacts string    // folder for the logs
	deadline  time.Time // for everything, once it is known

	start time.Time
	mu    sync.Mutex
	story []string // what was done to it, and when
}

// newFleet starts everything and returns when every host is known and every service is well.
func newFleet(t *testing.T, p rigtest.Programs) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), programs: p, manager: agenttest.Manager(t), patients: map[Place]*rig.Patient{},
		artifacts: t.ArtifactDir(), start: time.Now()}
	var err error
	if f.pager, err = rig.NewPager(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.pager.Close() })
	f.write("pager.key", f.pager.Secret+"\n")
	t.Cleanup(f.keepLogs)
	f.startServices()
	f.startNodes()
	f.startAgents()
	f.awaitUp()
	return f
}

// tell notes what happened, for whoever looks for the reason of a failure.
func (f *fleet) tell(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.story = append(f.story, fmt.Sprintf("%6.1f s  ", time.Since(f.start).Seconds())+fmt.Sprintf(format, args...))
}

// tellAll prints the story.
func (f *fleet) tellAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.t.Logf("what was done:\n%s", strings.Join(f.story, "\n"))
}

// keepLogs saves what the programs logged, if the test failed, and prints the end of it.
func (f *fleet) keepLogs() {
	if !f.t.Failed() {
		return
	}
	f.tellAll()
	for _, pattern := range []string{"*.log", "*/log"} {
		logs, _ := filepath.Glob(filepath.Join(f.dir, pattern))
		for _, log := range logs {
			text, err := os.ReadFile(log)
			name := strings.ReplaceAll(strings.TrimPrefix(log, f.dir+"/"), "/", ".")
			if err = errors.Join(err, os.WriteFile(filepath.Join(f.artifacts, name), text, 0o600)); err != nil {
				f.t.Error(err)
			}
			f.t.Logf("%s ends with (-artifacts keeps it all)\n%s", name, rig.LastLines(log, 10))
		}
	}
}

// allRun: no program has ended but those that were killed.
func (f *fleet) allRun() {
	f.t.Helper()
	for _, n := range f.nodes {
		if err := n.Fault(); err != nil {
			f.t.Error(err)
		}
	}
	for _, a := range f.agents {
		if err := a.Fault(); err != nil {
			f.t.Error(err)
		}
	}
}

func (f *fleet) write(name, text string) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

func (f *fleet) ports(n int) []string {
	f.t.Helper()
	ports, err := rig.FreePorts(n)
	if err != nil {
		f.t.Fatal(err)
	}
	return ports
}

func unitOf(p Place) string { return p.Service + "-" + p.Host + ".service" }

// startServices runs the units. They take their time to start, some more than others, so that repairs would overlap if
// nobody kept them apart.
func (f *fleet) startServices() {
	f.t.Helper()
	ports := f.ports(hosts * len(services))
	var units []string
	for i := range hosts {
		for j, service := range services {
			p := Place{service, host(i)}
			patient := rig.NewPatient(strings.TrimSuffix(unitOf(p), ".service"), ports[i*len(services)+j])
			u := rig.Unit{
				Description: p.String(),
				Exec:        []string{f.programs.Service, "--listen", patient.Addr},
				// One that is stopped in the middle of its start neither runs nor has failed until its time is up.
				Lines: []string{"Type=notify", "Environment=GOMAXPROCS=1", "TimeoutStartSec=10", "TimeoutStopSec=5",
					fmt.Sprintf("ExecStartPre=/bin/sleep %.1f", 0.5+0.6*float64(i))},
			}
			if err := f.manager.WriteUnit(patient.Unit(), u.String()); err != nil {
				f.t.Fatal(err)
			}
			f.patients[p], units = patient, append(units, patient.Unit())
		}
	}
	if _, err := f.manager.Systemctl(append([]string{"start"}, units...)...); err != nil {
		f.t.Fatal(err)
	}
}

func host(i int) string { return fmt.Sprintf("host%d", i+1) }

func node(i int) string { return fmt.Sprintf("ctl%d", i+1) }

// startNodes runs the controllers.
func (f *fleet) startNodes() {
	f.t.Helper()
	ports := f.ports(3 * nodes)
	grpc, raft, web := ports[:nodes], ports[nodes:2*nodes], ports[2*nodes:]
	for i := range nodes {
		name := node(i)
		c := rig.NewController(rig.ControllerOptions{
			Binary: f.programs.Controller, HTTP: web[i], Log: filepath.Join(f.dir, name+".log"),
			Config: f.write(name+".hcl", f.controllerConfig(name, grpc[i], web[i], raft)),
		})
		f.nodes = append(f.nodes, c)
		f.run(c.Process)
	}
	f.addresses = grpc
	f.salve = rig.Salve{Binary: f.programs.Salve, Where: []string{"--address", strings.Join(grpc, ",")}}
}

func (f *fleet) run(p *rig.Process) {
	f.t.Helper()
	if err := p.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(p.Stop)
}

func (f *fleet) startAgents() {
	f.t.Helper()
	for i := range hosts {
		dir := host(i)
		for _, service := range services {
			f.write(dir+"/rules.d/"+service+".hcl", rulesOf(service, host(i), f.patients[Place{service, host(i)}].Addr))
		}
		config := f.write(dir+"/agent.hcl", f.agentConfig(host(i), f.addresses))
		a := rig.NewProcess([]string{f.programs.Agent, "--config", config, "--systemd", f.manager.Address},
			filepath.Join(f.dir, dir, "log"))
		f.agents, f.sockets = append(f.agents, a), append(f.sockets, filepath.Join(f.dir, dir, "agent.sock"))
		f.run(a)
	}
}

// awaitUp waits until the controllers know every host, and every service is well.
func (f *fleet) awaitUp() {
	f.t.Helper()
	f.eventually(upTime, "every host is known and every service is well", func() string {
		if why := f.strangers(); why != "" {
			return why
		}
		return strings.Join(f.unwell(), ", ")
	})
}

// upTime is how long things may take to come up on a busy machine.
const upTime = 60 * time.Second

// eventually asks until nothing is missing any more.
func (f *fleet) eventually(limit time.Duration, what string, missing func() string) {
	f.t.Helper()
	last := ""
	deadline := time.Now().Add(limit)
	if !f.deadline.IsZero() && f.deadline.Before(deadline) {
		deadline = f.deadline
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if last = missing(); last == "" {
			return
		}
		if time.Now().After(deadline) {
			f.allRun()
			f.t.Fatalf("not within %v: %s: %s", limit, what, last)
		}
		<-tick.C
	}
}

// unwell are the places whose service does not do what it should, seen from outside.
func (f *fleet) unwell() []string {
	var out []string
	for p := range f.patients {
		if !f.well(p) {
			out = append(out, p.String())
		}
	}
	slices.Sort(out)
	return out
}

func (f *fleet) well(p Place) bool {
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
	defer cancel()
	for _, path := range []string{"/healthz", "/work"} {
		a, err := f.patients[p].Get(ctx, path)
		if err != nil || a.Status != http.StatusOK {
			return false
		}
	}
	return true
}
