// Package identity has the shipped programs live through the life of an identity, over TLS: they are let in, heal, renew
// their certificates, and are shut out.
package identity

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/packaging/lab/rig/rigtest"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/proto/adminpb"
)

const (
	patience = time.Minute
	hostLife = 20 * time.Second
	hostName = "web-1"
	shop     = "shop"
)

// stage is one node of the controller, one host, and a service on it.
type stage struct {
	t        *testing.T
	dir      string
	programs rigtest.Programs
	manager  *agenttest.Systemd
	patient  *rig.Patient
	address  string // of the controller
	node     *rig.Process
	agent    *rig.Process
	salve    rig.Salve
}

// newStage makes files as people do, and starts nothing but the service.
func newStage(t *testing.T) *stage {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "salve-id-") // t.TempDir() may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &stage{t: t, dir: dir, programs: rigtest.All(t), manager: agenttest.Manager(t)}
	ports, err := rig.FreePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	s.address, s.patient = ports[0], rig.NewPatient("lab-identity-shop", ports[3])
	t.Setenv("SALVE_LOGIN", s.path("login.json"))
	s.salve = rig.Salve{Binary: s.programs.Salve}
	s.write("controller.hcl", s.controllerConfig(ports))
	s.write("agent.hcl", s.agentConfig())
	s.write("rules.d/shop.hcl", s.rules())
	s.node = rig.NewProcess([]string{s.programs.Controller, "--config", s.path("controller.hcl")}, s.path("node.log"))
	s.agent = rig.NewProcess([]string{s.programs.Agent, "--config", s.path("agent.hcl"), "--systemd", s.manager.Address},
		s.path("agent.log"))
	t.Cleanup(s.keepLogs)
	t.Cleanup(s.agent.Stop)
	t.Cleanup(s.node.Stop)
	unit := rig.Unit{Description: shop, Exec: []string{s.programs.Service, "--listen", s.patient.Addr},
		Lines: []string{"Type=notify", "Environment=GOMAXPROCS=1"}}
	if err := s.manager.WriteUnit(s.patient.Unit(), unit.String()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.manager.Systemctl("start", s.patient.Unit()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) controllerConfig(ports []string) string {
	return fmt.Sprintf(`
node = "ctl-1"
data = "%[1]s/node"
listen {
  grpc = %[2]q
  raft = %[3]q
  http = %[4]q
}
tls {
  ca        = "%[1]s/tls/ca.pem"
  cert      = "%[1]s/tls/ctl-1.pem"
  key       = "%[1]s/tls/ctl-1-key.pem"
  ca_key    = "%[1]s/tls/ca-key.pem"
  host_life = %[5]q
}
service "shop" {
  max_unavailable = 1
  permit          = "always" # not even a dead unit is started without leave
}
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
`, s.dir, ports[0], ports[1], ports[2], hostLife)
}

func (s *stage) agentConfig() string {
	return fmt.Sprintf(`
host     = %[1]q
autonomy = "full"
data     = "%[2]s/host"
socket   = "%[2]s/agent.sock"
metrics  = ""
rules    = "%[2]s/rules.d"
controller { addresses = [%[3]q] }
allow {
  units   = [%[4]q]
  actions = ["start"]
}
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
`, hostName, s.dir, s.address, s.patient.Unit())
}

func (s *stage) rules() string {
	return fmt.Sprintf(`
service "shop" {
  unit    = %q
  startup = "1s"
  remedy "start" "start" {
    cooldown = "0s"
    verify {
      when   = unit.active
      within = "10s"
      hold   = "1s"
    }
  }
}
rule "down" {
  services  = ["shop"]
  severity  = "critical"
  when      = unit.failed
  clear     = unit.active
  clear_for = "1s"
  try       = ["start"]
}
`, s.patient.Unit())
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

func (s *stage) write(name, text string) {
	s.t.Helper()
	path := s.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) keepLogs() {
	if s.t.Failed() {
		for _, name := range []string{"node.log", "agent.log"} {
			s.t.Logf("%s ends with\n%s", name, rig.LastLines(s.path(name), 25))
		}
	}
}

func (s *stage) start(p *rig.Process) {
	s.t.Helper()
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// run runs a program to its end, with more in its environment, and gives what it said.
func (s *stage) run(env []string, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *stage) must(argv ...string) string {
	s.t.Helper()
	out, err := s.run(nil, argv...)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return out
}

// ask asks the controller with the command line.
func (s *stage) ask(answer proto.Message, args ...string) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), 15*time.Second)
	defer cancel()
	return s.salve.Ask(ctx, answer, args...)
}

// enroll lets the host in.
func (s *stage) enroll(flags ...string) {
	s.t.Helper()
	token := s.must(append([]string{s.programs.Salve, "enroll", "token", "--ttl", "5m"}, flags...)...)
	s.write("token", token)
	s.must(s.programs.Agent, "enroll", "--config", s.path("agent.hcl"), "--token-file", s.path("token"))
}

// connected reports whether the host has a session at this moment.
func (s *stage) connected() bool {
	var r adminpb.ListHostsResponse
	return s.ask(&r, "hosts") == nil && slices.ContainsFunc(r.GetHosts(), func(h *adminpb.HostStatus) bool {
		return h.GetHost().GetName() == hostName && h.GetConnected()
	})
}

// identity is what the host has.
func (s *stage) identity() *credential.Credential {
	s.t.Helper()
	c, err := credential.Load(credential.Bundle(s.path("host/identity.pem")))
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// keep copies what the host has, as a thief would.
func (s *stage) keep(name string) credential.Files {
	s.t.Helper()
	text, err := os.ReadFile(s.path("host/identity.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name, string(text))
	return credential.Bundle(s.path(name))
}

func (s *stage) log(name string) string {
	text, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Error(err)
	}
	return string(text)
}

func (s *stage) eventually(what string, so func() bool) {
	s.t.Helper()
	agenttest.Eventually(s.t, so, what)
}
