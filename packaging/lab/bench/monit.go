package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/salveops/salve/packaging/lab/rig"
)

// monit is Monit with the shortest cycle that it has, one second, and the shortest connection time-out,
// one second too. It finds a process by its pid file, which costs it less than a pattern, acts on the
// first miss, and restarts through one `systemctl restart`, which is faster than its own stop and start.
// The time-out of the programs is short because Monit asks no port of a process younger than that.
type monit struct {
	binary  string
	ward    *ward
	program *rig.Program
	logfile string
}

var _ tool = (*monit)(nil)

func (m *monit) name() string    { return nameMonit }
func (m *monit) resident() bool  { return true }
func (m *monit) pid() int        { return m.program.PID() }
func (m *monit) faults() []fault { return []fault{crash, hang, leak} }
func (m *monit) stop()           { m.program.Stop() }
func (m *monit) log() string     { return rig.LastLines(m.logfile, logLines) }

func (m *monit) patient(f fault, round int) *rig.Patient { return m.ward.pick(f, round) }

func (m *monit) start(context.Context) error {
	dir, err := m.ward.scratch("monit")
	if err != nil {
		return err
	}
	rc := filepath.Join(dir, "monitrc")
	if err := os.WriteFile(rc, []byte(m.config(dir)), 0o600); err != nil {
		return err
	}
	m.logfile = logOf(dir)
	m.program, err = rig.StartProgram([]string{m.binary, "-I", "-c", rc}, os.Environ(), m.logfile)
	return err
}

// config names env(1) because Monit runs programs with an empty environment.
func (m *monit) config(dir string) string {
	var b strings.Builder
	b.WriteString(monitHead(dir))
	systemctl := "/usr/bin/env XDG_RUNTIME_DIR=" + m.ward.manager.Runtime + " /usr/bin/systemctl --user"
	for _, p := range m.ward.patients {
		host, port, _ := strings.Cut(p.Addr, ":")
		fmt.Fprintf(&b, "check process %s with pidfile %s\n", p.Name, m.ward.pidfile(p))
		for _, verb := range []string{"start", "stop", "restart"} {
			fmt.Fprintf(&b, "  %s program = \"%s %s %s\" with timeout 1 seconds\n", verb, systemctl, verb, p.Unit())
		}
		fmt.Fprintf(&b, "  if failed host %s port %s protocol http request \"/healthz\" with timeout 1 seconds then restart\n",
			host, port)
		fmt.Fprintf(&b, "  if totalmem > %d MB then restart\n\n", leakLimit>>20)
	}
	return b.String()
}

// monitHead is a cycle of a second, and the files that Monit keeps.
func monitHead(dir string) string {
	return fmt.Sprintf("set daemon 1\nset pidfile %[1]s/pid\nset idfile %[1]s/id\nset statefile %[1]s/state\n\n", dir)
}
