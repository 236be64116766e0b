package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
)

// ward is one manager with its patients. Those that Salve and Monit look after are the same units,
// without a restart by systemd; the tools take turns. Those of systemd's own restart are a few more.
type ward struct {
	manager   *agenttest.Systemd
	size      int
	dir       string         // scratch: pid files, configurations, logs
	patients  []*rig.Patient // Restart=no
	at0       group
	atDefault group
}

// group is a few patients that systemd itself restarts.
type group struct {
	name       string
	restartSec string // "" is systemd's default, 100 ms
	patients   []*rig.Patient
}

// groupSize is how many patients share the tries of a group.
const groupSize = 4

func newWard(ctx context.Context, m *agenttest.Systemd, binary string, n int) (*ward, error) {
	dir, err := os.MkdirTemp("", "salve-bench-")
	if err != nil {
		return nil, err
	}
	w := &ward{
		manager:   m,
		size:      n,
		dir:       dir,
		at0:       group{name: nameAt0, restartSec: "0"},
		atDefault: group{name: nameAtDefault},
	}
	if err := w.admit(ctx, binary); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// admit writes all units, starts them and waits until every one answers.
func (w *ward) admit(ctx context.Context, binary string) error {
	ports, err := rig.FreePorts(w.size + 2*groupSize)
	if err != nil {
		return err
	}
	next := func(name string, restart, restartSec string) (*rig.Patient, error) {
		p := rig.NewPatient(name, ports[0])
		ports = ports[1:]
		u := rig.Unit{
			Description: "Patient " + name,
			Exec:        []string{binary, "--listen", p.Addr, "--pidfile", w.pidfile(p)},
			Restart:     restart,
			RestartSec:  restartSec,
			Lines:       []string{"StandardOutput=null", "StandardError=null"},
		}
		return p, os.WriteFile(filepath.Join(w.manager.Units, p.Unit()), []byte(u.String()), 0o644)
	}
	for i := range w.size {
		p, err := next(fmt.Sprintf("p-%03d", i), "", "")
		if err != nil {
			return err
		}
		w.patients = append(w.patients, p)
	}
	for _, g := range []*group{&w.at0, &w.atDefault} {
		for i := range groupSize {
			p, err := next(fmt.Sprintf("r%s-%d", g.restartSec, i), "on-failure", g.restartSec)
			if err != nil {
				return err
			}
			g.patients = append(g.patients, p)
		}
	}
	if _, err := w.manager.Systemctl("daemon-reload"); err != nil {
		return err
	}
	return w.repair(ctx)
}

func (w *ward) all() []*rig.Patient {
	return append(append(append([]*rig.Patient(nil), w.patients...), w.at0.patients...), w.atDefault.patients...)
}

// repair brings every patient that does not answer back, whatever it has.
func (w *ward) repair(ctx context.Context) error {
	for _, p := range w.all() {
		one, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		_, err := p.AwaitAny(one)
		cancel()
		if err == nil {
			continue
		}
		if _, err := w.manager.Systemctl("restart", p.Unit()); err != nil {
			return err
		}
		one, cancel = context.WithTimeout(ctx, giveUp)
		_, err = p.AwaitAny(one)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *ward) pidfile(p *rig.Patient) string { return filepath.Join(w.dir, p.Name+".pid") }

// scratch makes an empty folder for one start of a tool.
func (w *ward) scratch(tool string) (string, error) { return os.MkdirTemp(w.dir, tool+"-") }

func (w *ward) close() { _ = os.RemoveAll(w.dir) }
