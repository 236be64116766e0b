package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/salveops/salve/packaging/lab/rig"
)

// salve is the agent as it is shipped, alone, with its journal on disk and its metrics served. The last
// quarter of its patients acts on a single missed probe, the others on three as is the default.
type salve struct {
	binary  string
	ward    *ward
	agent   *rig.Agent
	logfile string
}

var _ tool = (*salve)(nil)

func (s *salve) name() string    { return nameSalve }
func (s *salve) resident() bool  { return true }
func (s *salve) pid() int        { return s.agent.PID() }
func (s *salve) faults() []fault { return []fault{crash, hang, leak, hangSingle} }
func (s *salve) stop()           { s.agent.Stop() }
func (s *salve) log() string     { return rig.LastLines(s.logfile, logLines) }

func (s *salve) patient(f fault, round int) *rig.Patient { return s.ward.pick(f, round) }

func (s *salve) start(ctx context.Context) error {
	dir, err := s.ward.scratch("salve")
	if err != nil {
		return err
	}
	metrics, err := rig.FreePorts(1)
	if err != nil {
		return err
	}
	if err := s.write(dir, metrics[0]); err != nil {
		return err
	}
	s.logfile = filepath.Join(dir, "log")
	s.agent, err = rig.StartAgent(ctx, rig.AgentOptions{
		Binary:  s.binary,
		Config:  filepath.Join(dir, "agent.hcl"),
		Systemd: s.ward.manager.Address,
		Socket:  filepath.Join(dir, "agent.sock"),
		Log:     s.logfile,
	})
	return err
}

// write puts the configuration into dir, which becomes the agent's whole world.
func (s *salve) write(dir, metrics string) error {
	files := map[string]string{
		"agent.hcl":         s.config(dir, metrics),
		"rules.d/bench.hcl": s.rules(),
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s *salve) config(dir, metrics string) string {
	units := make([]string, len(s.ward.patients))
	for i, p := range s.ward.patients {
		units[i] = strconv.Quote(p.Unit())
	}
	return fmt.Sprintf(`host     = "bench"
autonomy = "full"
per_hour = 1000
data     = "%[1]s/data"
socket   = "%[1]s/agent.sock"
metrics  = "%[2]s"
rules    = "%[1]s/rules.d"

allow {
  units   = [%[3]s]
  actions = ["start", "restart"]
}
`, dir, metrics, strings.Join(units, ", "))
}

func (s *salve) rules() string {
	var b strings.Builder
	for i, p := range s.ward.patients {
		misses := 3
		if i >= slot(hangSingle)*(len(s.ward.patients)/4) {
			misses = 1
		}
		fmt.Fprintf(&b, `service "%[1]s" {
  unit    = "%[2]s"
  startup = "1s"

  probe "health" {
    http    = "%[3]s"
    every   = "1s"
    timeout = "500ms"
    misses  = %[4]d
  }
  remedy "restart" "restart" {}
}

`, p.Name, p.Unit(), p.URL("/healthz"), misses)
	}
	fmt.Fprintf(&b, `rule "crashed" {
  services = ["p-*"]
  when     = unit.failed
  try      = ["restart"]
}

rule "hung" {
  services = ["p-*"]
  when     = !probe.health.ok
  for      = "0s"
  try      = ["restart"]
}

rule "leaking" {
  services = ["p-*"]
  when     = unit.memory_bytes > %d * MiB
  for      = "0s"
  try      = ["restart"]
}
`, leakLimit>>20)
	return b.String()
}
