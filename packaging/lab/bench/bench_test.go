package main

import (
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/packaging/lab/rig/rigtest"
)

// One crash on a real systemd with its own restart: the whole harness, without a tool.
func TestTryOnRealSystemd(t *testing.T) {
	manager := agenttest.Manager(t)
	w, err := newWard(t.Context(), manager, rigtest.Service(t), 4)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	b := &Bench{opts: Options{Common: Common{Log: io.Discard}}, dice: rand.New(rand.NewPCG(1, 0))}
	r := &restarter{ward: w, group: w.at0}
	if took, err := b.try(t.Context(), crash, r.patient(crash, 0)); err != nil || took <= 0 {
		t.Errorf("crash: %v, %v", took, err)
	}
	// A leak that nobody heals is seen as one, and repaired by hand for the next try.
	p := w.patients[0]
	if err := leak.inflict(t.Context(), p, 0); err != nil {
		t.Fatal(err)
	}
	a, err := p.AwaitAny(t.Context())
	if err != nil || belowLimit(a) {
		t.Errorf("after a leak the patient is below the limit, %v", err)
	}
	if _, err := manager.Systemctl("stop", p.Unit()); err != nil {
		t.Fatal(err)
	}
	if err := w.repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, err := p.AwaitAny(t.Context()); err != nil || !belowLimit(a) {
		t.Errorf("after the repair: %+v, %v", a, err)
	}
}

// Faults that follow each other must not hit the same patient.
func TestPatientsOfFaultsDiffer(t *testing.T) {
	w := &ward{}
	for range 20 {
		w.patients = append(w.patients, rig.NewPatient("p", ""))
	}
	seen := map[*rig.Patient]string{}
	for _, f := range []fault{crash, hang, leak, hangSingle} {
		for round := range 30 {
			p := w.pick(f, round)
			if other, taken := seen[p]; taken && other != f.name {
				t.Fatalf("%s and %s share a patient", other, f.name)
			}
			seen[p] = f.name
		}
	}
	if len(seen) != 20 {
		t.Errorf("%d of 20 patients are used", len(seen))
	}
}

func TestSendRefusesGroups(t *testing.T) {
	for _, pid := range []int{-1, 0, 1} {
		if err := send(pid, 0); err == nil {
			t.Errorf("process %d was signalled", pid)
		}
	}
}

func TestOptionsRefuse(t *testing.T) {
	good := Options{Service: "s", Agent: "a", Monit: "/bin/true", Tools: []string{"monit"}, Sizes: []int{20}, Tries: 1}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Options){
		"too few services": func(o *Options) { o.Sizes = []int{3} },
		"no tries":         func(o *Options) { o.Tries = 0 },
		"no Monit":         func(o *Options) { o.Monit = "/nowhere/monit" },
		"unknown tool":     func(o *Options) { o.Tools = []string{"magic"} },
	} {
		o := good
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestMonitConfig(t *testing.T) {
	w := &ward{manager: &agenttest.Systemd{Runtime: "/run/x"}, dir: "/scratch",
		patients: []*rig.Patient{rig.NewPatient("p-000", "127.0.0.1:20000")}}
	got := (&monit{ward: w}).config("/scratch/m")
	for _, want := range []string{
		"check process p-000 with pidfile /scratch/p-000.pid\n",
		`restart program = "/usr/bin/env XDG_RUNTIME_DIR=/run/x /usr/bin/systemctl --user restart p-000.service"`,
		`if failed host 127.0.0.1 port 20000 protocol http request "/healthz"`,
		"if totalmem > 48 MB then restart",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("configuration lacks %q:\n%s", want, got)
		}
	}
}
