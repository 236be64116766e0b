package controller

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/authority"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
	"github.com/salveops/salve/proto/peerpb"
)

// trust is three nodes that speak TLS, with an authority in one folder.
type trust struct {
	t     *testing.T
	dir   string
	nodes []*site
	with  trustOptions
}

// trustOptions say what is special about the nodes. The zero value: nothing.
type trustOptions struct {
	left map[int]time.Duration // until the end of a node's first certificate
	keys func(n int) bool      // the authority's key is on the node; nil: on each
}

func newTrust(t *testing.T) *trust { return newTrustWith(t, trustOptions{}) }

func newTrustWith(t *testing.T, with trustOptions) *trust {
	x := &trust{t: t, dir: t.TempDir(), with: with}
	older := time.Now().Add(-authority.NodeLife) // than any certificate
	if _, err := authority.Create(x.path(caFile), x.path(caKeyFile), older, nil); err != nil {
		t.Fatal(err)
	}
	if err := Init(InitOptions{CA: x.dir, Operator: "root", Role: "admin", Out: io.Discard, Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		s := newSite(t)
		s.file = filepath.Join(filepath.Dir(s.file), "controller.hcl")
		x.nodes = append(x.nodes, s)
		o := InitOptions{Dir: x.dir, CA: x.dir, Node: x.name(n), Addresses: []string{"127.0.0.1"}, Out: io.Discard,
			Now: time.Now()}
		if left, ok := with.left[n]; ok {
			o.Now = o.Now.Add(left - authority.NodeLife)
		}
		if err := Init(o); err != nil {
			t.Fatal(err)
		}
	}
	for n := range x.nodes {
		x.configure(n)
		x.start(n)
	}
	x.leader()
	return x
}

func (x *trust) name(n int) string        { return fmt.Sprintf("ctl-%d", n+1) }
func (x *trust) path(name string) string  { return filepath.Join(x.dir, name) }
func (x *trust) bundle() credential.Files { return credential.Bundle(x.path("operator-root.pem")) }
func (x *trust) addresses() (out []string) {
	for _, s := range x.nodes {
		out = append(out, s.grpc)
	}
	return out
}

func (x *trust) configure(n int) {
	s := x.nodes[n]
	var peers []string
	for i, p := range x.nodes {
		peers = append(peers, fmt.Sprintf("%q", x.name(i)+"="+p.raft))
	}
	text := fmt.Sprintf("node = %q\ndata = %q\nlisten {\n  grpc = %q\n  raft = %q\n  http = %q\n}\nraft {\n  peers = [%s]\n}\n"+
		"tls {\n  ca = %q\n  cert = %q\n  key = %q\n%s}\n"+
		"notifier \"journald\" \"log\" {}\nescalation \"default\" {\n  step {\n    notify = [\"journald.log\"]\n  }\n}\n",
		x.name(n), filepath.Join(filepath.Dir(s.file), "data"), s.grpc, s.raft, s.http, strings.Join(peers, ", "),
		x.path(caFile), x.path(x.name(n)+".pem"), x.path(x.name(n)+"-key.pem"), x.authorityKey(n))
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

func (x *trust) authorityKey(n int) string {
	if x.with.keys != nil && !x.with.keys(n) {
		return ""
	}
	return fmt.Sprintf("  ca_key = %q\n", x.path(caKeyFile))
}

func (x *trust) start(n int) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := x.nodes[n]
	go func() {
		done <- Run(ctx, Options{ConfigFile: s.file, Log: hclog.New(&hclog.LoggerOptions{Name: x.name(n), Output: s.log,
			Level: hclog.Warn})})
	}()
	x.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			x.t.Errorf("%s: %v", x.name(n), err)
		}
	})
}

// lines are those of whoever has these files.
func (x *trust) lines(f credential.Files) *transport.Transport {
	x.t.Helper()
	store, err := credential.Open(f, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	lines, err := transport.New(transport.Options{Source: store.Config})
	if err != nil {
		x.t.Fatal(err)
	}
	return lines
}

// line is a connection to a node.
func (x *trust) line(lines *transport.Transport, address string) *grpc.ClientConn {
	x.t.Helper()
	conn, err := lines.Client(x.t.Context(), address)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { conn.Close() })
	return conn
}

// pool is the authority.
func (x *trust) pool() *x509.CertPool {
	x.t.Helper()
	text, err := os.ReadFile(x.path(caFile))
	if err != nil {
		x.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

// leader waits for a node that leads.
func (x *trust) leader() (admin adminpb.AdminClient) {
	x.t.Helper()
	lines := x.lines(x.bundle())
	x.nodes[0].eventually("a leader", func() bool {
		for _, address := range x.addresses() {
			c := adminpb.NewAdminClient(x.line(lines, address))
			if _, err := c.Status(x.t.Context(), &adminpb.StatusRequest{}); err == nil {
				admin = c
				return true
			}
		}
		return false
	})
	return admin
}

// led asks whoever leads, and the next one if that one is deposed in the middle: elections come when they like.
func led[A, R any](x *trust, ask func(adminpb.AdminClient, context.Context, A, ...grpc.CallOption) (R, error), what A) (r R) {
	x.t.Helper()
	x.nodes[0].eventually(fmt.Sprintf("an answer to %T", what), func() bool {
		var err error
		r, err = ask(x.leader(), x.t.Context(), what)
		if err != nil && !headless(err) {
			x.t.Fatal(err)
		}
		return err == nil
	})
	return r
}

// headless reports whether a node refuses because it does not lead, or nobody does, or no longer.
func headless(err error) bool {
	c := status.Code(err)
	return c == codes.FailedPrecondition || c == codes.Unavailable || c == codes.Unknown
}

// invite makes an enrolment token.
func (x *trust) invite(host string) identity.Token {
	x.t.Helper()
	r := led(x, adminpb.AdminClient.CreateToken, &adminpb.CreateTokenRequest{Use: "enroll", By: "someone else",
		For: int64(time.Hour), Host: host,
		Labels: []*logpb.Label{{Name: "role", Value: "web"}}})
	token, err := identity.ParseToken(r.GetToken())
	if err != nil {
		x.t.Fatal(err)
	}
	x.everywhere()
	return token
}

// everywhere waits until every node has what the leader has: a node refuses tokens that it has not heard of yet.
func (x *trust) everywhere() {
	x.t.Helper()
	index := led(x, adminpb.AdminClient.Status, &adminpb.StatusRequest{}).GetAt().GetIndex()
	lines := x.lines(x.bundle())
	for _, s := range x.nodes {
		c := adminpb.NewAdminClient(x.line(lines, s.grpc))
		s.eventually(fmt.Sprintf("entry %d on every node", index), func() bool {
			r, err := c.Status(x.t.Context(), &adminpb.StatusRequest{Stale: true})
			return err == nil && r.GetAt().GetIndex() >= index
		})
	}
}

// enroll uses a token, at the node that leads.
func (x *trust) enroll(token identity.Token, host string) (credential.Files, error) {
	x.t.Helper()
	key, err := credential.NewKey()
	if err != nil {
		x.t.Fatal(err)
	}
	request, err := credential.Request(key)
	if err != nil {
		x.t.Fatal(err)
	}
	lines, err := transport.New(transport.Options{Pin: token.Pin})
	if err != nil {
		x.t.Fatal(err)
	}
	var r *agentpb.EnrollResponse
	x.nodes[0].eventually("somebody leads and enrols", func() bool {
		for _, address := range x.addresses() {
			r, err = agentpb.NewEnrollmentClient(x.line(lines, address)).Enroll(x.t.Context(),
				&agentpb.EnrollRequest{Token: token.String(), Host: host, Name: "web-1", Request: request})
			if !headless(err) {
				return true
			}
		}
		return false
	})
	if err != nil {
		return credential.Files{}, err
	}
	return x.keep(host, encode(x.t, key), r.GetIssued()), nil
}

func (x *trust) keep(name string, key []byte, issued *agentpb.Issued) credential.Files {
	x.t.Helper()
	path := filepath.Join(x.t.TempDir(), name+".pem")
	if err := durable.Write(path, slices.Concat(key, issued.GetChain(), issued.GetRoots()), 0o600); err != nil {
		x.t.Fatal(err)
	}
	return credential.Bundle(path)
}

// session says hello for a host with these files until somebody leads and takes it.
func (x *trust) session(f credential.Files, host string) (stream agentpb.Line_ConnectClient) {
	x.t.Helper()
	var err error
	x.nodes[0].eventually("a session", func() bool {
		stream, err = x.hello(f, host)
		if err != nil && !headless(err) {
			x.t.Fatal(err)
		}
		return stream != nil
	})
	return stream
}

// hello is said once to each node; no stream and no error: nobody leads.
func (x *trust) hello(f credential.Files, host string) (agentpb.Line_ConnectClient, error) {
	x.t.Helper()
	lines := x.lines(f)
	var failed error
	for _, address := range x.addresses() {
		stream, err := agentpb.NewLineClient(x.line(lines, address)).Connect(x.t.Context())
		if err != nil {
			return nil, err
		}
		// A stream that was refused takes nothing; then Recv says why.
		_ = stream.Send(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Hello{Hello: &logpb.Hello{
			Host: host, Name: "web-1", Fingerprint: "f", BootId: "b", Nonce: fmt.Sprint(time.Now().UnixNano()), Stream: "s"}}})
		m, err := stream.Recv()
		switch {
		case err != nil:
			failed = err
		case m.GetWelcome() != nil:
			return stream, nil
		}
	}
	return nil, failed
}

func encode(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	text, err := credential.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func code(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

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
