package main

import (
	"context"

	"github.com/salveops/salve/packaging/lab/rig"
)

// Names of the tools in the report.
const (
	nameSalve     = "Salve"
	nameMonit     = "Monit, 1 s cycle"
	nameAt0       = "systemd RestartSec=0"
	nameAtDefault = "systemd, default RestartSec"

	nameScraping   = "Salve, ten scrapes"
	nameRecording  = "Salve, ten scrapes, recording"
	namePrometheus = "Prometheus"
)

var toolOrder = [...]string{nameSalve, nameMonit, nameAt0, nameAtDefault}

// tool is one that heals.
type tool interface {
	name() string
	// start brings it up with a configuration for all patients of its ward and an empty memory.
	start(ctx context.Context) error
	stop()
	// resident tells tools with a process of their own, whose cost can be measured, from systemd.
	resident() bool
	pid() int
	// log is the end of what it wrote, for the case that it did not heal.
	log() string
	faults() []fault
	// patient is whom to break in that round. Faults have separate patients, so that no tool is
	// still busy with one when the next fault hits it.
	patient(f fault, round int) *rig.Patient
}

// slot names the quarter of the patients that a fault hits.
func slot(f fault) int {
	switch f.name {
	case hang.name:
		return 1
	case leak.name:
		return 2
	case hangSingle.name:
		return 3
	}
	return 0
}

// pick is a patient of the fault's quarter, another one each round as far as there are enough.
func (w *ward) pick(f fault, round int) *rig.Patient {
	quarter := len(w.patients) / 4
	return w.patients[slot(f)*quarter+round%quarter]
}

// restarter is systemd itself with one setting.
type restarter struct {
	ward  *ward
	group group
}

var _ tool = (*restarter)(nil)

func (r *restarter) name() string                { return r.group.name }
func (r *restarter) start(context.Context) error { return nil }
func (r *restarter) stop()                       {}
func (r *restarter) resident() bool              { return false }
func (r *restarter) pid() int                    { return 0 }
func (r *restarter) log() string                 { return "" }
func (r *restarter) faults() []fault             { return []fault{crash} }
func (r *restarter) patient(_ fault, round int) *rig.Patient {
	return r.group.patients[round%groupSize]
}
