package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/salveops/salve/packaging/lab/rig"
)

// salve is the agent as it is shipped. The last quarter of its patients acts on a single missed probe, the others on
// three as is the default.
type salve struct {
	title   string // in the report
	binary  string
	ward    *ward
	pages   []string // addresses of metrics; each is scraped for a patient
	records bool     // it keeps what signals were
	agent   *rig.Agent
	dir     string
}

var _ tool = (*salve)(nil)

func (s *salve) name() string    { return s.title }
func (s *salve) resident() bool  { return true }
func (s *salve) pid() int        { return s.agent.PID() }
func (s *salve) faults() []fault { return []fault{crash, hang, leak, hangSingle} }
func (s *salve) stop()           { s.agent.Stop() }
func (s *salve) log() string     { return rig.LastLines(logOf(s.dir), logLines) }

func (s *salve) patient(f fault, round int) *rig.Patient { return s.ward.pick(f, round) }

func (s *salve) start(ctx context.Context) (err error) {
	if s.dir, err = s.ward.scratch("salve"); err != nil {
		return err
	}
	s.agent, err = s.world().start(ctx, s.binary, s.ward.manager.Address, s.dir)
	return err
}

func (s *salve) world() world {
	w := world{rules: s.rules()}
	for _, p := range s.ward.patients {
		w.units = append(w.units, p.Unit())
	}
	if s.records {
		w.settings = "record_mib = 16\n"
	}
	return w
}

func (s *salve) rules() string {
	var b strings.Builder
	for i, p := range s.ward.patients {
		misses, scrape := 3, ""
		if i >= slot(hangSingle)*(len(s.ward.patients)/4) {
			misses = 1
		}
		if i < len(s.pages) {
			scrape = goldenScrape(s.pages[i], scrapeEvery)
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
%[5]s  remedy "restart" "restart" {}
}

`, p.Name, p.Unit(), p.URL("/healthz"), misses, scrape)
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
	for _, p := range s.ward.patients[:len(s.pages)] {
		fmt.Fprintf(&b, `
rule "errors-of-%[1]s" {
  services = ["%[1]s"]
  when     = metric.error_rate > 5 * percent && metric.p99_latency > 2 * s
  try      = ["restart"]
}
`, p.Name)
	}
	return b.String()
}
