package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
)

// shop is the service that both hosts of the second act run.
const shop = "shop"

// pair is the stage of the second act: two hosts, each with a systemd of its own and an agent, and a controller.
type pair struct {
	ground
	controller *rig.Controller
	address    string    // of the controller, for agents and people
	salve      rig.Salve // asks it
	hosts      [2]*shopHost
	voice      *voice // of the controller
	customers  *customers
	shared     bool // both hosts share the user's own systemd, because no other can be had
	results    []pairResult
}

// shopHost is one of the two.
type shopHost struct {
	name    string
	dir     string
	manager *agenttest.Systemd
	patient *rig.Patient
	tale    *tale
}

var _ scene = (*pair)(nil)

// newPair sets everything up and returns when the controller knows both hosts and they serve.
func newPair(ctx context.Context, o Options) (*pair, error) {
	o.Out = &oneByOne{out: o.Out}
	s := &pair{ground: ground{opts: o}, hosts: [2]*shopHost{{name: "web-1"}, {name: "web-2"}}}
	return s, s.build(ctx,
		s.openFolder, s.openHosts, s.openManagers, s.openPager, s.admit, s.startController, s.startAgents, s.listen)
}

// oneByOne lets several tell their tales without falling into each other's words.
type oneByOne struct {
	mu  sync.Mutex
	out io.Writer
}

func (o *oneByOne) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.out.Write(b)
}

// openHosts gives each host a folder.
func (s *pair) openHosts(context.Context) error {
	for _, h := range s.hosts {
		h.dir = filepath.Join(s.dir, h.name)
		if err := os.Mkdir(h.dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// openManagers gives each host a systemd of its own. Where none can be started, the one that runs for this user
// has to do for both.
func (s *pair) openManagers(ctx context.Context) error {
	for i, h := range s.hosts {
		m, err := agenttest.StartManager(ctx, agenttest.Options{})
		if err != nil && i == 0 && !s.opts.Private {
			var none error
			if m, none = agenttest.StartManager(ctx, agenttest.Options{Existing: true}); none == nil {
				s.shared = true
				s.hosts[0].manager, s.hosts[1].manager = m, m
				s.onClose(m.Stop)
				s.onClose(func() error {
					_, err := m.Systemctl("reset-failed", unitPrefix+shop+"-*")
					return err
				})
				return nil
			}
		}
		if err != nil {
			return err
		}
		h.manager = m
		s.onClose(m.Stop)
	}
	return nil
}

// admit writes and starts the shop on both hosts.
func (s *pair) admit(ctx context.Context) error {
	ports, err := rig.FreePorts(len(s.hosts))
	if err != nil {
		return err
	}
	for i, h := range s.hosts {
		h.patient = rig.NewPatient(unitPrefix+shop+"-"+h.name, ports[i])
		if err := ship("fleet/host/hooks", h.dir, nil, func(name string) string { return "hooks/" + name }); err != nil {
			return err
		}
		if err := os.Chmod(h.file("hooks/warm-up"), 0o755); err != nil {
			return err
		}
		u := rig.Unit{
			Description: "Salve demo: " + shop + " on " + h.name,
			Exec:        []string{s.opts.Service, "--listen", h.patient.Addr, "--config", h.file("shop.conf")},
			Lines: []string{"Type=notify", "Environment=GOMAXPROCS=1",
				fmt.Sprintf("ExecStartPre=%s %s %s", h.file("hooks/warm-up"), h.file("starts"), h.file("cold"))},
		}
		if err := h.manager.WriteUnit(h.patient.Unit(), u.String()); err != nil {
			return err
		}
		if _, err := h.manager.Systemctl("start", h.patient.Unit()); err != nil {
			return err
		}
		if _, err := h.patient.AwaitAny(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *pair) startController(ctx context.Context) error {
	ports, err := rig.FreePorts(3)
	if err != nil {
		return err
	}
	dir := s.file("controller")
	values := map[string]string{"DIR": dir, "GRPC": ports[0], "RAFT": ports[1], "HTTP": ports[2], "PAGER": s.pager.Addr}
	if err := ship("fleet/controller", dir, values, sameName); err != nil {
		return err
	}
	if err := os.Link(s.file("pager.key"), filepath.Join(dir, "pager.key")); err != nil {
		return err
	}
	s.address, s.salve = ports[0], rig.Salve{Binary: s.opts.Salve, Where: []string{"--address", ports[0]}}
	s.controller = rig.NewController(rig.ControllerOptions{
		Binary: s.opts.Controller, Config: filepath.Join(dir, "controller.hcl"), HTTP: ports[2],
		Log: s.file("controller.log"),
	})
	s.onClose(func() error { s.controller.Stop(); return nil })
	return s.wake(ctx)
}

// wake starts the controller and waits until it answers.
func (s *pair) wake(ctx context.Context) error {
	if err := s.controller.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	return s.controller.AwaitReady(ctx)
}

func sameName(name string) string { return name }

func (s *pair) startAgents(ctx context.Context) error {
	ports, err := rig.FreePorts(len(s.hosts))
	if err != nil {
		return err
	}
	for i, h := range s.hosts {
		values := map[string]string{
			"HOST": h.name, "DIR": h.dir, "METRICS": ports[i], "CONTROLLER": s.address, "PAGER": s.pager.Addr,
			"PAGERKEY": s.file("pager.key"), "UNIT": h.patient.Unit(), "SHOP": h.patient.Addr,
		}
		if err := ship("fleet/host", h.dir, values, sameName); err != nil {
			return err
		}
		a, err := rig.StartAgent(ctx, rig.AgentOptions{
			Binary: s.opts.Agent, Config: h.file("agent.hcl"), Systemd: h.manager.Address,
			Socket: h.file("agent.sock"), Log: h.file("agent.log"),
		})
		if err != nil {
			return err
		}
		s.onClose(func() error { a.Stop(); return nil })
	}
	return nil
}

// listen follows what the agents and the controller tell, and waits until they see everything well.
func (s *pair) listen(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for _, h := range s.hosts {
		if h.tale, err = openTale(ctx, h.file("agent.sock"), s.opts.Out, label(h.name)); err != nil {
			return err
		}
		s.onClose(h.tale.close)
		if err := h.tale.awaitReady(ctx, []string{shop}); err != nil {
			return fmt.Errorf("%w\n%s", err, rig.LastLines(h.file("agent.log"), 15))
		}
	}
	if s.voice, err = listenTo(s.address, s.opts.Out); err != nil {
		return err
	}
	s.onClose(s.voice.close)
	s.customers = serve(s.hosts[0].patient, s.hosts[1].patient)
	s.onClose(func() error { s.customers.leave(); return nil })
	return s.awaitConnected(ctx)
}

// label stands before each line of whoever tells it.
func label(name string) string { return fmt.Sprintf("%-11s ", name) }

func (h *shopHost) file(name string) string { return filepath.Join(h.dir, name) }

// cold makes the next start of the shop take until it is warm again.
func (h *shopHost) cold() error { return os.WriteFile(h.file("cold"), nil, 0o600) }

func (h *shopHost) warm() error { return os.Remove(h.file("cold")) }

// starts is how often the shop was started on this host.
func (h *shopHost) starts() int {
	src, _ := os.ReadFile(h.file("starts")) // none yet
	return strings.Count(string(src), "\n")
}

func (s *pair) describe() string {
	managers := "Each has a systemd of its own."
	if s.shared {
		managers = "They share the running systemd user manager, because no other can be started here."
	}
	return fmt.Sprintf("Two hosts, %s and %s, each with an agent, run the service %s; a controller lets one of them be "+
		"under repair at a time. %s", s.hosts[0].name, s.hosts[1].name, shop, managers)
}

func (s *pair) title(i int) string {
	st := s.stories()[i]
	return st.title + ": " + st.tell
}

// pairTime bounds one story.
const pairTime = 90 * time.Second

func (s *pair) perform(ctx context.Context, i int) error {
	st := s.stories()[i]
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, pairTime)
	defer cancel()
	r := pairResult{title: st.title, fault: time.Now()}
	for _, h := range s.hosts {
		h.tale.beginAt(shop, r.fault)
		defer h.tale.finish()
	}
	s.voice.beginAt(r.fault)
	defer s.voice.finish()
	s.customers.begin()
	if r.err = st.play(&pairPlay{pair: s, pairResult: &r, ctx: ctx}); r.err != nil && parent.Err() == nil {
		s.confess()
	}
	for _, h := range s.hosts {
		_ = h.warm() // it is, unless the story broke off
	}
	s.results = append(s.results, r)
	return r.err
}

// confess prints how things stand when a story did not end as it must.
func (s *pair) confess() {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	for _, verb := range []string{"permits", "hosts", "audit"} {
		out, err := s.salve.Run(ctx, verb)
		fmt.Fprintf(s.opts.Out, "   salve %s: %v\n%s\n", verb, err, out)
	}
	logs := []string{s.controller.Log}
	for _, h := range s.hosts {
		logs = append(logs, h.file("agent.log"))
	}
	for _, log := range logs {
		fmt.Fprintf(s.opts.Out, "   %s ends with\n%s\n", log, rig.LastLines(log, 10))
	}
}

func (s *pair) last() string { return s.results[len(s.results)-1].line() }

func (s *pair) table() string { return pairTable(s.results) }

func (s *pair) playground() string {
	h := s.hosts[1]
	return fmt.Sprintf(`
The two hosts and their controller are running, too:
  %[1]s status --address %[2]s
  %[1]s hosts --address %[2]s
  %[1]s explain last --address %[2]s
  %[1]s audit --address %[2]s
  %[1]s watch --address %[2]s
  %[1]s pause service:shop --for 1m --reason "I am playing" --address %[2]s
  curl -X POST '%[3]s'
  %[1]s agent incidents --socket %[4]s
Their configuration and their logs are in %[5]s.
`, s.opts.Salve, s.address, h.patient.URL("/fault/errors?ratio=1"), h.file("agent.sock"), s.dir)
}
