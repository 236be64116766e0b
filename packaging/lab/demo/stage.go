package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
)

// The cast: one service a story, so that no story inherits the budgets and back-offs of another.
const (
	checkout = "checkout"
	search   = "search"
	basket   = "basket"
	payment  = "payment"
	reports  = "reports"
	catalog  = "catalog"
	shipping = "shipping"
)

var cast = []string{checkout, search, basket, payment, reports, catalog, shipping}

// stage is everything that stands while the stories are played.
type stage struct {
	ground
	manager  *agenttest.Systemd
	patients map[string]*rig.Patient
	agent    *rig.Agent
	tale     *tale
	quota    bool // the CPU controller reaches the units
	results  []result
}

var _ scene = (*stage)(nil)

// newStage sets everything up and returns when the agent has seen every service well.
func newStage(ctx context.Context, o Options) (*stage, error) {
	s := &stage{ground: ground{opts: o}, patients: map[string]*rig.Patient{}}
	return s, s.build(ctx, s.openFolder, s.openManager, s.openPager, s.admit, s.startAgent, s.listen)
}

func (s *stage) openManager(ctx context.Context) (err error) {
	if s.manager, err = s.startManager(ctx); err != nil {
		return err
	}
	if s.manager.Private {
		prefer(s.manager.PID())
	}
	return nil
}

// admit writes and starts the units of the cast.
func (s *stage) admit(ctx context.Context) error {
	ports, err := rig.FreePorts(len(cast))
	if err != nil {
		return err
	}
	s.onClose(s.forgetUnits)
	for i, name := range cast {
		p := rig.NewPatient(unitPrefix+name, ports[i])
		s.patients[name] = p
		u := rig.Unit{
			Description: "Salve demo: " + name,
			Exec: []string{s.opts.Service, "--listen", p.Addr,
				"--config", s.file(name + ".conf"), "--cache", s.file(name + ".cache")},
			// The weight makes systemd give the unit a place in the CPU controller, where there is one.
			Lines: []string{"Type=notify", "CPUWeight=100", "Environment=GOMAXPROCS=2"},
		}
		if err := s.manager.WriteUnit(p.Unit(), u.String()); err != nil {
			return err
		}
		if _, err := s.manager.Systemctl("start", p.Unit()); err != nil {
			return err
		}
	}
	pid := 0
	for _, name := range cast {
		a, err := s.patients[name].AwaitAny(ctx)
		if err != nil {
			return err
		}
		if name == reports {
			pid = a.PID
		}
	}
	s.quota = hasCPUController(pid, s.patients[reports].Unit())
	return nil
}

// unitPrefix keeps the demo's units apart from what else a user's manager runs.
const unitPrefix = "salve-demo-"

// forgetUnits takes back what a manager remembers of units beyond their files: that they failed, and
// limits set by a remedy. A private manager goes away with all that.
func (s *stage) forgetUnits() error {
	if s.manager.Private {
		return nil
	}
	_, err := s.manager.Systemctl("reset-failed", unitPrefix+"*")
	// This is where systemd keeps properties that were set until the next boot.
	limits := filepath.Join(s.manager.Runtime, "systemd/user.control", unitPrefix+reports+".service.d")
	return errors.Join(err, os.RemoveAll(limits))
}

// startAgent writes the agent's configuration and runs it.
func (s *stage) startAgent(ctx context.Context) error {
	ports, err := rig.FreePorts(1)
	if err != nil {
		return err
	}
	values := map[string]string{"DIR": s.dir, "METRICS": ports[0], "PAGER": s.pager.Addr}
	for name, p := range s.patients {
		values[strings.ToUpper(name)] = p.Addr
	}
	if err := writeConfig(s.dir, values, s.quota); err != nil {
		return err
	}
	s.agent, err = s.runAgent(ctx, s.manager)
	return err
}

// listen opens the agent's event stream and waits until all that it observes is known.
func (s *stage) listen(ctx context.Context) (err error) {
	// Customers come all the time, but not too many: 50 requests a second.
	stop := keepAsking(s.patients[payment], 20*time.Millisecond)
	s.onClose(func() error { stop(); return nil })
	var probed []string
	for _, name := range cast {
		if name != reports {
			probed = append(probed, name)
		}
	}
	s.tale, err = s.hear(ctx, probed...)
	return err
}

const readyTime = time.Minute

func (s *stage) title(i int) string {
	st := s.stories()[i]
	return st.title + ": " + st.tell
}

func (s *stage) perform(ctx context.Context, i int) error {
	st := s.stories()[i]
	s.results = append(s.results, play(ctx, s.tale, s.patients[st.service], st))
	return s.results[len(s.results)-1].err
}

func (s *stage) last() string { return s.results[len(s.results)-1].line() }

func (s *stage) table() string { return table(s.results) }

// describe says on what the stories are played.
func (s *stage) describe() string {
	manager := "a private systemd user manager"
	if !s.manager.Private {
		manager = "the running systemd user manager"
	}
	version, err := s.manager.Systemctl("show", "--value", "--property=Version")
	if err != nil {
		version = "unknown version"
	}
	return fmt.Sprintf("Seven services and the agent run on %s (%s). Times are since each fault.", manager, version)
}

// playground says how to go on by hand.
func (s *stage) playground() string {
	socket := "--socket " + s.agent.Socket
	systemctl := "XDG_RUNTIME_DIR=" + s.manager.Runtime + " systemctl --user"
	return fmt.Sprintf(`
Everything is still running; Ctrl-C ends it. In another terminal:
  %[1]s agent status %[2]s
  %[1]s agent incidents %[2]s
  %[1]s agent explain last %[2]s
  %[1]s agent signals %[2]s
  %[1]s agent pause service:checkout --for 1m --reason "I am playing" %[2]s
  %[3]s kill --signal=KILL %[4]s
  %[3]s stop %[4]s        # yours, so Salve leaves it alone
  curl -X POST '%[5]s'
The configuration is in %[6]s, the agent's log in %[7]s.
`, s.opts.Salve, socket, systemctl, s.patients[checkout].Unit(), s.patients[search].URL("/fault/hang"),
		s.dir, s.file("agent.log"))
}
