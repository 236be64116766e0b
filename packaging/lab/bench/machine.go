package main

import (
	"runtime"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// Machine says where and with what a run was made.
type Machine struct {
	rig.Machine
	Command string
	Seed    int64
	Tries   int
	Rest    time.Duration
}

// describe says where the agent is measured.
func describe(o Options) Machine {
	return Machine{
		Machine: rig.ThisMachine(rig.FirstLine("systemctl", "--version"), rig.FirstLine(o.Monit, "--version"),
			runtime.Version(), rig.FirstLine(o.Agent, "--version")),
		Command: o.Command, Seed: o.Seed, Tries: o.Tries, Rest: o.Rest,
	}
}
