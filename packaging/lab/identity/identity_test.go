package identity

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/adminpb"
)

// heartbeat is how long somebody who was shut out may go on.
const heartbeat = 2 * time.Second

// TestLifeOfAnIdentity: init, token, enrolment, a repair by permit, a certificate that renews itself, reloads, and the end.
func TestLifeOfAnIdentity(t *testing.T) {
	s := newStage(t)
	s.must(s.programs.Controller, "init", "--dir", s.path("tls"), "--node", "ctl-1", "--address", "127.0.0.1", "--data", s.path("node"))
	s.start(s.node)
	s.eventually("the person is let in", func() bool {
		_, err := s.run(nil, s.programs.Salve, "login", "--certificate", s.path("tls/operator-admin.pem"), "--address", s.address)
		return err == nil
	})
	s.eventually("the controller leads", func() bool { return s.ask(&adminpb.StatusResponse{}, "status") == nil })

	s.enroll("--labels", "role=web")
	s.start(s.agent)
	s.eventually("the host is connected", s.connected)
	first, stolen := s.identity(), s.keep("stolen.pem")
	s.heals()
	s.reloads()
	s.ends()

	s.eventually("the certificate is another one", func() bool { return !s.identity().Leaf.Equal(first.Leaf) })
	s.eventually("the first one has ended", func() bool { return first.Expired(time.Now()) })
	s.eventually("the host is connected by the next one", s.connected)
	s.heals()
	if s.lets(stolen) {
		t.Error("a certificate that has ended opens the door")
	}

	fresh := s.keep("fresh.pem")
	if !s.lets(fresh) {
		t.Error("the certificate of the host does not open the door")
	}
	told, heard := len(s.log("node.log")), len(s.log("agent.log"))
	s.must(s.programs.Salve, "enroll", "revoke", hostName, "--reason", "stolen", "--yes")
	cut := time.Now()
	s.eventually("the session is cut", func() bool {
		return strings.Contains(s.log("node.log")[told:], "cut: caller=host/") &&
			strings.Contains(s.log("agent.log")[heard:], "has ended or was revoked")
	})
	if took := time.Since(cut); took > heartbeat {
		t.Errorf("the session is cut after %s", took)
	}
	if s.lets(fresh) || s.connected() {
		t.Error("the revoked host is let in")
	}
	s.agent.Stop()
	heard = len(s.log("agent.log"))
	s.start(s.agent)
	s.eventually("it has tried to come back", func() bool {
		return strings.Contains(s.log("agent.log")[heard:], "no line to the controller")
	})
	if s.connected() {
		t.Error("the revoked host is back")
	}

	s.enroll("--host", hostName)
	s.eventually("a person's token lets it in again", s.connected)
	if s.lets(fresh) {
		t.Error("the revoked certificate opens the door again")
	}
	for _, p := range []interface{ Fault() error }{s.node, s.agent} {
		if err := p.Fault(); err != nil {
			t.Error(err)
		}
	}
}

// heals breaks the service; it has to come back by leave of the controller.
func (s *stage) heals() {
	s.t.Helper()
	old, err := s.patient.AwaitAny(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	var before, after adminpb.ListIncidentsResponse
	if err := s.ask(&before, "incidents", "--all"); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.manager.Systemctl("kill", "--signal=KILL", s.patient.Unit()); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.patient.AwaitNew(s.t.Context(), old.PID); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("the incident is over", func() bool {
		return s.ask(&after, "incidents", "--all") == nil && len(after.GetIncidents()) == len(before.GetIncidents())+1 &&
			after.GetIncidents()[0].GetEnded() != 0
	})
	if story := s.must(s.programs.Salve, "explain", "last"); !strings.Contains(story, "permit") {
		s.t.Errorf("it was repaired without a permit:\n%s", story)
	}
}

// reloads: what is refused fails, and leaves what ran before.
func (s *stage) reloads() {
	s.t.Helper()
	digest := func() string {
		var r adminpb.StatusResponse
		text, err := s.salve.Run(s.t.Context(), "status", "-o", "json")
		if protojson.Unmarshal([]byte(text), &r) != nil { // what was refused is a warning, which has an exit code of its own
			s.t.Fatal(text, err)
		}
		return r.GetConfigDigest()
	}
	good := s.log("controller.hcl")
	cert := s.log("tls/ctl-1.pem")
	for _, tc := range []struct {
		name, config, cert string
		want               string // what it says when it fails
	}{
		{"a mistake", good + "nonsense = 1\n", cert, "nonsense"},
		{"another port", strings.Replace(good, s.address, "127.0.0.1:1", 1), cert, "takes a restart"},
		{"a certificate that is none", good, "rubbish", "ctl-1.pem"},
		{"another cap", strings.Replace(good, "max_unavailable = 1", "max_unavailable = 2", 1), cert, ""},
		{"as before", good, cert, ""},
	} {
		before := digest()
		s.write("controller.hcl", tc.config)
		s.write("tls/ctl-1.pem", tc.cert)
		out, err := s.run(nil, s.programs.Controller, "reload", "--config", s.path("controller.hcl"))
		if (err == nil) != (tc.want == "") || !strings.Contains(out, tc.want) {
			s.t.Errorf("reload of %s: %v\n%s", tc.name, err, out)
		}
		if tc.want == "" {
			s.eventually(tc.name+" is in force", func() bool { return digest() != before })
		} else if digest() != before {
			s.t.Errorf("%s is in force", tc.name)
		}
	}
}

// ends: programs go by the wall clock, which a test of whole hosts sets.
func (s *stage) ends() {
	s.t.Helper()
	s.write("clock", "2400h")
	out, err := s.run([]string{clock.TestVariable + "=" + s.path("clock")}, s.programs.Salve, "status")
	if err == nil || !strings.Contains(out, "has ended") || !strings.Contains(out, "the wall clock jumps") {
		s.t.Errorf("salve status after the login has ended: %v\n%s", err, out)
	}
	s.write("clock", "-2400h")
	out, err = s.run([]string{clock.TestVariable + "=" + s.path("clock")}, s.programs.Salve, "status")
	if err == nil || !strings.Contains(out, "not yet valid") {
		s.t.Errorf("salve status before the node's certificate is valid: %v\n%s", err, out)
	}
}

// lets reports whether a handshake with these files gets through: then the gate says that a host is no operator.
func (s *stage) lets(f credential.Files) bool {
	s.t.Helper()
	store, err := credential.Open(f, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	lines, err := transport.New(transport.Options{Source: store.Config})
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := lines.Client(s.t.Context(), s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_, err = adminpb.NewAdminClient(conn).WhoAmI(s.t.Context(), &adminpb.WhoAmIRequest{})
	return status.Code(err) == codes.PermissionDenied
}
