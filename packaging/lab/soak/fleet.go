package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
)

// nodes is the number of controllers.
const nodes = 3

// upTime is how long everything may take to come up.
const upTime = time.Minute

// fleet is everything that runs: the controllers, the agents, and the services of each host as units of one systemd,
// as if each host had its own.
type fleet struct {
	opts    Options
	dir     string
	manager *agenttest.Systemd
	pager   *rig.Pager
	nodes   []*node
	hosts   []*host
	salve   rig.Salve    // asks the controllers
	watch   *rig.Process // a person who follows everything
}

type node struct {
	*rig.Controller
	name, dir, http string
}

type host struct {
	name, dir, http string
	agent           *rig.Process
	patients        []*rig.Patient // by service
}

//go:embed config
var config embed.FS

// ship writes a file of the configuration with the names between @ signs filled in.
func ship(name, to string, values map[string]string) error {
	text, err := config.ReadFile("config/" + name)
	if err != nil {
		return err
	}
	var pairs []string
	for k, v := range values {
		pairs = append(pairs, "@"+k+"@", v)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600)
}

// newFleet starts everything and returns when every service is well and the controllers know every host.
func newFleet(ctx context.Context, o Options) (*fleet, error) {
	f := &fleet{opts: o}
	for _, step := range []func(context.Context) error{
		f.open, f.startServices, f.startNodes, f.startAgents, f.awaitHosts, f.startWatch,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, f.close())
		}
	}
	return f, nil
}

// close ends whatever runs, the dependents first.
func (f *fleet) close() error {
	var errs []error
	if f.watch != nil {
		f.watch.Stop()
	}
	for _, h := range f.hosts {
		if h.agent != nil {
			h.agent.Stop()
		}
	}
	for _, n := range f.nodes {
		n.Stop()
	}
	if f.manager != nil {
		errs = append(errs, f.manager.Stop())
	}
	if f.pager != nil {
		errs = append(errs, f.pager.Close())
	}
	if f.dir != "" {
		errs = append(errs, os.RemoveAll(f.dir))
	}
	return errors.Join(errs...)
}

// fault says which program ended although nobody ended it, nil if none did.
func (f *fleet) fault() error {
	var errs []error
	for _, n := range f.nodes {
		errs = append(errs, n.Fault())
	}
	for _, h := range f.hosts {
		if h.agent != nil {
			errs = append(errs, h.agent.Fault())
		}
	}
	if f.watch != nil {
		errs = append(errs, f.watch.Fault())
	}
	return errors.Join(errs...)
}

func (f *fleet) open(ctx context.Context) (err error) {
	if f.dir, err = os.MkdirTemp("", "salve-soak-"); err != nil {
		return err
	}
	if f.manager, err = agenttest.StartManager(ctx, agenttest.Options{}); err != nil {
		return err
	}
	if f.pager, err = rig.NewPager(); err != nil {
		return err
	}
	return os.WriteFile(f.pagerKey(), []byte(f.pager.Secret+"\n"), 0o600)
}

func (f *fleet) pagerKey() string { return filepath.Join(f.dir, "pager.key") }

func service(i int) string { return fmt.Sprintf("service%d", i+1) }

func (f *fleet) startServices(context.Context) error {
	ports, err := rig.FreePorts(f.opts.Hosts * f.opts.Services)
	if err != nil {
		return err
	}
	start := []string{"start"}
	for i := range f.opts.Hosts {
		h := &host{name: fmt.Sprintf("host%d", i+1)}
		h.dir = filepath.Join(f.dir, h.name)
		f.hosts = append(f.hosts, h)
		for j := range f.opts.Services {
			p := rig.NewPatient("soak-"+service(j)+"-"+h.name, ports[i*f.opts.Services+j])
			h.patients = append(h.patients, p)
			u := rig.Unit{
				Description: p.Name, Exec: []string{f.opts.Service, "--listen", p.Addr},
				Lines: []string{"Type=notify", "Environment=GOMAXPROCS=1", "TimeoutStopSec=5", "StandardOutput=null"},
			}
			if err := f.manager.WriteUnit(p.Unit(), u.String()); err != nil {
				return err
			}
			start = append(start, p.Unit())
		}
	}
	_, err = f.manager.Systemctl(start...)
	return err
}

// quoted is a list as configuration files have it.
func quoted(items []string) string {
	out := make([]string, len(items))
	for i, s := range items {
		out[i] = strconv.Quote(s)
	}
	return strings.Join(out, ", ")
}

func (f *fleet) startNodes(ctx context.Context) error {
	ports, err := rig.FreePorts(3 * nodes)
	if err != nil {
		return err
	}
	grpc, raft, web := ports[:nodes], ports[nodes:2*nodes], ports[2*nodes:]
	var peers []string
	for i := range nodes {
		peers = append(peers, fmt.Sprintf("ctl%d=%s", i+1, raft[i]))
	}
	for i := range nodes {
		name := fmt.Sprintf("ctl%d", i+1)
		dir := filepath.Join(f.dir, name)
		values := map[string]string{"NAME": name, "DIR": dir, "GRPC": grpc[i], "RAFT": raft[i], "HTTP": web[i],
			"PEERS": quoted(peers), "PAGER": f.pager.Addr, "PAGERKEY": f.pagerKey()}
		if err := ship("controller.hcl", dir+".hcl", values); err != nil {
			return err
		}
		c := rig.NewController(rig.ControllerOptions{
			Binary: f.opts.Controller, Config: dir + ".hcl", HTTP: web[i], Log: dir + ".log",
		})
		f.nodes = append(f.nodes, &node{c, name, dir, web[i]})
		if err := c.Start(); err != nil {
			return err
		}
	}
	f.salve = rig.Salve{Binary: f.opts.Salve, Where: []string{"--address", strings.Join(grpc, ",")}}
	ctx, cancel := context.WithTimeout(ctx, upTime)
	defer cancel()
	for _, n := range f.nodes {
		if err := n.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) startAgents(context.Context) error {
	ports, err := rig.FreePorts(f.opts.Hosts)
	if err != nil {
		return err
	}
	for i, h := range f.hosts {
		h.http = ports[i]
		var units []string
		for _, p := range h.patients {
			units = append(units, p.Unit())
		}
		values := map[string]string{"NAME": h.name, "DIR": h.dir, "HTTP": h.http, "UNITS": quoted(units),
			"NODES": quoted(strings.Split(f.salve.Where[1], ",")), "PAGER": f.pager.Addr, "PAGERKEY": f.pagerKey()}
		file := filepath.Join(h.dir, "agent.hcl")
		if err := errors.Join(ship("agent.hcl", file, values), h.writeRules(0)); err != nil {
			return err
		}
		h.agent = rig.NewProcess([]string{f.opts.Agent, "--config", file, "--systemd", f.manager.Address}, h.dir+".log")
		if err := h.agent.Start(); err != nil {
			return err
		}
	}
	return nil
}

// writeRules writes the rules of one shift.
func (h *host) writeRules(shift int) error {
	for i, p := range h.patients {
		values := map[string]string{"SERVICE": service(i), "UNIT": p.Unit(), "ADDR": p.Addr, "SHIFT": strconv.Itoa(shift)}
		if err := ship("service.hcl", filepath.Join(h.dir, "rules.d", service(i)+".hcl"), values); err != nil {
			return err
		}
	}
	return nil
}

// awaitHosts waits until the controllers know every host, and every service is well.
func (f *fleet) awaitHosts(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, upTime)
	defer cancel()
	for _, h := range f.hosts {
		known := func() bool {
			out, err := f.salve.Run(ctx, "hosts")
			return err == nil && strings.Contains(out, h.name)
		}
		if !poll(ctx, known) {
			return errors.Join(fmt.Errorf("%s does not come up\n%s", h.name, rig.LastLines(h.dir+".log", 15)), f.fault())
		}
		for _, p := range h.patients {
			if !poll(ctx, func() bool { return well(ctx, p, 0) }) {
				return fmt.Errorf("%s does not come up", p.Name)
			}
		}
	}
	return nil
}

func (f *fleet) startWatch(context.Context) error {
	f.watch = rig.NewProcess(append([]string{f.opts.Salve, "watch"}, f.salve.Where...), filepath.Join(f.dir, "watch.log"))
	return f.watch.Start()
}

// well reports whether a service does what it should, in another process than the one before.
func well(ctx context.Context, p *rig.Patient, before int) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for _, path := range []string{"/healthz", "/work"} {
		a, err := p.Get(ctx, path)
		if err != nil || a.Status != http.StatusOK || a.PID == before {
			return false
		}
	}
	return true
}

// poll asks until ok says yes, and reports whether it did before ctx ended.
func poll(ctx context.Context, ok func() bool) bool {
	for !ok() {
		if !pause(ctx, 250*time.Millisecond) {
			return false
		}
	}
	return true
}

// pause reports whether d passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
