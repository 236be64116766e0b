package controller

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/authority"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/peerpb"
)

const hostA, hostB = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"

// Three nodes and a host, from the first certificate to being shut out.
func TestIdentity(t *testing.T) {
	x := newTrust(t)
	token := x.invite("")
	files, err := x.enroll(token, hostA)
	if err != nil {
		t.Fatal(err)
	}
	_, err = x.enroll(token, hostB)
	code(t, "a token that was used", err, codes.PermissionDenied)
	_, err = x.enroll(x.invite(""), hostA)
	code(t, "a host that is known", err, codes.PermissionDenied)
	stolen := x.invite("")
	stolen.Secret[0] ^= 1
	_, err = x.enroll(stolen, hostB)
	code(t, "a wrong secret", err, codes.PermissionDenied)

	t.Run("each only for itself", func(t *testing.T) {
		_, err := x.hello(files, hostB)
		code(t, "another host's ID", err, codes.PermissionDenied)
	})
	x.session(files, hostA)
	if !x.lets(files, x.nodes[1]) {
		t.Error("a node does not let the host in")
	}
	t.Run("labels", func(t *testing.T) {
		r := led(x, adminpb.AdminClient.ListHosts, &adminpb.ListHostsRequest{})
		if fmt.Sprint(r.GetHosts()[0].GetHost().GetLabels()) != `[name:"role" value:"web"]` &&
			r.GetHosts()[0].GetHost().GetLabels()[0].GetValue() != "web" {
			t.Errorf("%v", r)
		}
	})
	t.Run("roles", func(t *testing.T) { x.roles(t, files) })
	t.Run("ports", func(t *testing.T) { x.ports(t, files) })
	renewed := x.renew(t, files)
	t.Run("revoked", func(t *testing.T) { x.revoked(t, files, renewed) })
}

// roles: what hosts, strangers and tokens may do.
func (x *trust) roles(t *testing.T, host credential.Files) {
	address := x.addresses()[0]
	admin := adminpb.NewAdminClient(x.line(x.lines(host), address))
	_, err := admin.Status(t.Context(), &adminpb.StatusRequest{Stale: true})
	code(t, "a host as an operator", err, codes.PermissionDenied)
	_, err = peerpb.NewPeerClient(x.line(x.lines(host), address)).Configure(t.Context(), &peerpb.ConfigureRequest{})
	code(t, "a host as a node", err, codes.PermissionDenied)
	_, err = peerpb.NewPeerClient(x.line(x.lines(x.bundle()), address)).Configure(t.Context(), &peerpb.ConfigureRequest{})
	code(t, "an operator as a node", err, codes.PermissionDenied)

	made := led(x, adminpb.AdminClient.CreateToken, &adminpb.CreateTokenRequest{Use: "access", By: "x",
		For: int64(time.Hour), Name: "bob", Role: "operator"})
	token, err := identity.ParseToken(made.GetToken())
	if err != nil {
		t.Fatal(err)
	}
	naked, err := transport.New(transport.Options{Pin: token.Pin})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range x.addresses() {
		bob := adminpb.NewAdminClient(x.line(naked, address))
		_, err = bob.WhoAmI(t.Context(), &adminpb.WhoAmIRequest{})
		code(t, "nobody", err, codes.Unauthenticated)
		as := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+made.GetToken())
		x.nodes[0].eventually("the token on every node", func() bool {
			who, err := bob.WhoAmI(as, &adminpb.WhoAmIRequest{})
			return err == nil && who.GetName() == "bob" && who.GetRole() == "operator" && len(who.GetRoots()) > 0
		})
		_, err = bob.RemoveHost(as, &adminpb.RemoveHostRequest{Host: hostA, By: "root", Reason: "x"})
		code(t, "bob as admin", err, codes.PermissionDenied)
		_, err = bob.Pause(as, &adminpb.PauseRequest{Scope: "all", By: "root", Reason: "x", For: int64(time.Hour)})
		if err != nil && !headless(err) {
			t.Errorf("bob pauses: %v", err)
		}
	}
	audit := led(x, adminpb.AdminClient.ListAudit, &adminpb.ListAuditRequest{})
	for _, r := range audit.GetRecords() {
		if r.GetWhat() == "pause" && r.GetBy() != "bob" || r.GetWhat() == "token" && r.GetBy() != "root" {
			t.Errorf("the audit says %v", r)
		}
		shown := map[string]string{"pause": "token/" + made.GetId(), "token": "serial/", "enroll": "token/"}[r.GetWhat()]
		if !strings.HasPrefix(r.GetCredential(), shown) || shown != "" && net.ParseIP(r.GetAddress()) == nil {
			t.Errorf("the audit does not say from where, by %q: %v", shown, r)
		}
	}
	led(x, adminpb.AdminClient.EndToken, &adminpb.EndTokenRequest{Id: made.GetId(), By: "x", Reason: "lost"})
}

// ports: Raft is for nodes, HTTP asks like gRPC, and nothing speaks plain text.
func (x *trust) ports(t *testing.T, host credential.Files) {
	for _, s := range x.nodes {
		conn, err := x.lines(host).Dial(t.Context(), s.raft)
		if err == nil { // TLS 1.3: the refusal comes with the first read
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, err = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
		if err == nil {
			t.Error("a host speaks Raft")
		}
		plain, err := net.Dial("tcp", s.grpc)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(plain, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		_ = plain.SetDeadline(time.Now().Add(patience))
		if b, _ := io.ReadAll(plain); strings.Contains(string(b), "HTTP") {
			t.Errorf("plain text is answered: %q", b)
		}
		_ = plain.Close()
	}
	text := ""
	for _, s := range x.nodes { // whichever of them led was asked for the enrolments, and all by a host that tried Raft
		_, one := x.getOf(t, s, x.bundle(), "/metrics")
		text += one
	}
	told := func(metric string) (sum int) {
		for line := range strings.Lines(text) {
			var n int
			if _, err := fmt.Sscanf(line, metric+" %d", &n); err == nil {
				sum += n
			}
		}
		return sum
	}
	raft := told(`salve_controller_connections_lost_total{port="raft",why="failed"}`)
	api := told(`salve_controller_connections_lost_total{port="api",why="failed"}`) // plain text
	if raft < len(x.nodes) || api < len(x.nodes) {
		t.Errorf("the metrics say that %d and %d handshakes failed, want one on each port of a node, at least", raft, api)
	}
	if refused := told(`salve_controller_tokens_refused_total{why="enrolment"}`); refused != 3 {
		t.Errorf("the metrics say that %d enrolments were refused, want three", refused)
	}
	for path, want := range map[string]int{"/healthz": 200, "/metrics": 403, "/api/v1/Status": 403} {
		if got, _ := x.get(t, host, path); got != want {
			t.Errorf("%s by a host: %d", path, got)
		}
	}
	for path, want := range map[string]int{"/metrics": 200, "/api/v1/Status?stale=true": 200} {
		if got, _ := x.get(t, x.bundle(), path); got != want {
			t.Errorf("%s by an admin: %d", path, got)
		}
	}
}

func (x *trust) get(t *testing.T, f credential.Files, path string) (code int, text string) {
	t.Helper()
	return x.getOf(t, x.nodes[0], f, path)
}

func (x *trust) getOf(t *testing.T, s *site, f credential.Files, path string) (code int, text string) {
	t.Helper()
	c, err := credential.Load(f)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: c.Config(), ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	r, err := client.Get("https://" + s.http + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// renew gets the host another certificate for the one that it has.
func (x *trust) renew(t *testing.T, f credential.Files) credential.Files {
	t.Helper()
	key, err := credential.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	request, err := credential.Request(key)
	if err != nil {
		t.Fatal(err)
	}
	var r *agentpb.RenewResponse
	x.nodes[0].eventually("somebody renews", func() bool {
		for _, address := range x.addresses() {
			r, err = agentpb.NewEnrollmentClient(x.line(x.lines(f), address)).Renew(t.Context(),
				&agentpb.RenewRequest{Request: request})
			if err == nil {
				return true
			}
			if !headless(err) {
				t.Errorf("renew: %v", err)
			}
		}
		return false
	})
	return x.keep("renewed", encode(t, key), r.GetIssued())
}

// lets reports whether a host's handshake gets through to a node: then the gate says that it is no operator.
func (x *trust) lets(f credential.Files, s *site) bool {
	_, err := adminpb.NewAdminClient(x.line(x.lines(f), s.grpc)).WhoAmI(x.t.Context(), &adminpb.WhoAmIRequest{})
	return status.Code(err) == codes.PermissionDenied
}

// revoked: what is open is cut, no node lets it in, and a person's word does.
func (x *trust) revoked(t *testing.T, files ...credential.Files) {
	stream := x.session(files[0], hostA)
	r := led(x, adminpb.AdminClient.RevokeIdentity, &adminpb.RevokeIdentityRequest{What: "web-1", By: "x", Reason: "stolen"})
	if r.GetWhat() != "host/"+hostA {
		t.Fatalf("%v", r)
	}
	cut := make(chan error, 1)
	go func() {
		for {
			m, err := stream.Recv()
			if moved := m.GetRedirect() != nil || m.GetNoQuorum() != nil; moved || err != nil {
				cut <- err // nil: an election came before
				return
			}
		}
	}()
	select {
	case err := <-cut:
		if err != nil {
			code(t, "the open session", err, codes.Unauthenticated)
		}
	case <-time.After(patience):
		t.Error("the session stays open")
	}
	for _, f := range files {
		for _, s := range x.nodes {
			s.eventually("shut out of every node", func() bool { return !x.lets(f, s) })
		}
	}
	again, err := x.enroll(x.invite("web-1"), hostA)
	if err != nil {
		t.Fatal(err)
	}
	x.session(again, hostA)
	if _, err := x.hello(files[0], hostA); err == nil {
		t.Error("the old certificate is good again")
	}
}

// A certificate that has ended, one that is not valid yet, and one of another authority are refused by the handshake;
// so is a node's file that is another's.
func TestBadCertificates(t *testing.T) {
	x := newTrust(t)
	own, err := authority.Open(x.path(caFile), x.path(caKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	other, err := authority.Create(filepath.Join(t.TempDir(), "ca"), filepath.Join(t.TempDir(), "key"), time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		by   *authority.Authority
		at   time.Time
		kind identity.Kind
		ok   bool
	}{
		{"good", own, time.Now(), identity.Host, true},
		{"ended", own, time.Now().Add(-25 * time.Hour), identity.Host, false},
		{"not yet", own, time.Now().Add(time.Hour), identity.Host, false},
		{"of another authority", other, time.Now(), identity.Host, false},
	}
	for _, tc := range tests {
		key, err := credential.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		cert, err := tc.by.Issue(authority.Order{Name: identity.Name{Kind: tc.kind, ID: hostA}, Key: &key.PublicKey,
			Life: authority.HostLife, Now: tc.at})
		if err != nil {
			t.Fatal(err)
		}
		config := &tls.Config{RootCAs: x.pool(), ClientCAs: x.pool(),
			Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
		lines, err := transport.New(transport.Options{TLS: config})
		if err != nil {
			t.Fatal(err)
		}
		stream, err := agentpb.NewLineClient(x.line(lines, x.addresses()[0])).Connect(t.Context())
		if err == nil {
			_ = stream.Send(&agentpb.ConnectRequest{}) // which is no hello
			_, err = stream.Recv()
		}
		// A certificate of another authority is not even shown, for the node names those that it takes.
		got := status.Code(err)
		if tc.ok != (got == codes.InvalidArgument) || !tc.ok && got != codes.Unavailable && got != codes.Unauthenticated {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	s := *x.nodes[0]
	s.file = filepath.Join(t.TempDir(), "controller.hcl")
	text := fmt.Sprintf("node = \"ctl-9\"\ndata = %q\ntls {\n  ca = %q\n  cert = %q\n  key = %q\n}\n", t.TempDir(),
		x.path(caFile), x.path("ctl-1.pem"), x.path("ctl-1-key.pem"))
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{ConfigFile: s.file, Log: hclog.NewNullLogger()}
	for what, err := range map[string]error{"run": Run(t.Context(), o), "check": Check(o)} {
		want := "the certificate is for controller/ctl-1, and this node is controller/ctl-9"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s with another node's certificate: %v", what, err)
		}
	}
}
