package controller

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/authority"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
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
	return token
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
