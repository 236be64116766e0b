package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/agentpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const hostID = "0123456789abcdef0123456789abcdef"

// authority is a CA that is thrown away with the test.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.key = newKey(t)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA " + time.Now().String()},
		IsCA:                  true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour), KeyUsage: x509.KeyUsageCertSign}
	a.cert = a.sign(c, c, &a.key.PublicKey)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := credential.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(c, parent *x509.Certificate, key *ecdsa.PublicKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key, a.key)
	if err != nil {
		a.t.Error(err)
		return nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Error(err)
	}
	return cert
}

// issue signs a certificate that lives from now on.
func (a *authority) issue(key *ecdsa.PublicKey, name string, life time.Duration) *x509.Certificate {
	u, err := url.Parse(name)
	if err != nil {
		a.t.Error(err)
	}
	return a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), URIs: []*url.URL{u}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Second), NotAfter: time.Now().Add(life), // certificates count in seconds
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.cert, key)
}

// node is a controller that gives what a test says.
type node struct {
	agentpb.UnimplementedEnrollmentServer
	ca      *authority
	address string
	gives   func(key *ecdsa.PublicKey) (*agentpb.Issued, error)
	asked   chan struct{}

	mu  sync.Mutex
	now *tls.Config
}

func (a *authority) node(name string) *node {
	a.t.Helper()
	n := &node{ca: a, asked: make(chan struct{}, 100)}
	n.gives = func(key *ecdsa.PublicKey) (*agentpb.Issued, error) { return a.issued(key, hostID, time.Hour), nil }
	n.shows(a, name)
	lines, err := transport.New(transport.Options{Source: func() *tls.Config { n.mu.Lock(); defer n.mu.Unlock(); return n.now }, Anonymous: true})
	if err != nil {
		a.t.Fatal(err)
	}
	server, l, err := lines.GRPC(a.t.Context(), "127.0.0.1:0")
	if err != nil {
		a.t.Fatal(err)
	}
	agentpb.RegisterEnrollmentServer(server, n)
	n.address = l.Addr().String()
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(l) }() // until it is stopped
	a.t.Cleanup(func() { server.Stop(); <-served })
	return n
}

// shows changes the node's certificate. It trusts both authorities.
func (n *node) shows(a *authority, name string) {
	key := newKey(a.t)
	cert := a.issue(&key.PublicKey, name, time.Hour)
	pool := x509.NewCertPool()
	pool.AddCert(n.ca.cert)
	pool.AddCert(a.cert)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = &tls.Config{RootCAs: pool, ClientCAs: pool,
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw, a.cert.Raw}, PrivateKey: key}}}
}

func (a *authority) issued(key *ecdsa.PublicKey, host string, life time.Duration, more ...*authority) *agentpb.Issued {
	roots := credential.EncodeCerts(a.cert)
	for _, m := range more {
		roots = append(roots, credential.EncodeCerts(m.cert)...)
	}
	return &agentpb.Issued{Chain: credential.EncodeCerts(a.issue(key, "salve://host/"+host, life)), Roots: roots}
}

func (n *node) give(request []byte) (*agentpb.Issued, error) {
	key, err := credential.ParseRequest(request)
	if err != nil {
		return nil, err
	}
	select {
	case n.asked <- struct{}{}:
	default:
	}
	return n.gives(key)
}

func (n *node) Enroll(_ context.Context, r *agentpb.EnrollRequest) (*agentpb.EnrollResponse, error) {
	issued, err := n.give(r.GetRequest())
	return &agentpb.EnrollResponse{Issued: issued}, err
}

func (n *node) Renew(_ context.Context, r *agentpb.RenewRequest) (*agentpb.RenewResponse, error) {
	issued, err := n.give(r.GetRequest())
	return &agentpb.RenewResponse{Issued: issued}, err
}

// token is one for the nodes of an authority.
func (a *authority) token() string {
	return identity.Token{Use: identity.Enroll, ID: "0123456789abcdef", Secret: make([]byte, identity.SecretLen),
		Pin: identity.Pin(a.cert)}.String()
}

func options(t *testing.T, token string, nodes ...string) Options {
	return Options{Addresses: nodes, Token: token, Host: hostID, Name: "web-1", Path: filepath.Join(t.TempDir(),
		"identity.pem")}
}

const controllerName = "salve://controller/ctl-1"

func TestEnroll(t *testing.T) {
	ca := newAuthority(t)
	n := ca.node(controllerName)
	o := options(t, ca.token(), "127.0.0.1:1", n.address) // nobody listens on the first
	if err := Enroll(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	c, err := credential.Load(credential.Bundle(o.Path))
	if err != nil || c.Name.ID != hostID {
		t.Errorf("%v, %v", c, err)
	}
	if info, err := os.Stat(o.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// A node that does not lead names the one that does.
func TestEnrollFollowsTheLeader(t *testing.T) {
	ca := newAuthority(t)
	leads, follows := ca.node(controllerName), ca.node(controllerName)
	follows.gives = func(*ecdsa.PublicKey) (*agentpb.Issued, error) { return nil, sentOn(leads.address) }
	if err := Enroll(t.Context(), options(t, ca.token(), follows.address)); err != nil {
		t.Error(err)
	}
}

// sentOn is the answer of a node that does not lead; "" if it knows nobody who does.
func sentOn(leader string) error {
	st, err := status.New(codes.FailedPrecondition, "another leads").WithDetails(
		&errdetails.ErrorInfo{Reason: "NOT_LEADER", Metadata: map[string]string{"address": leader}})
	if err != nil {
		return err
	}
	return st.Err()
}

// TestEnrollInAnElection: the leader is dead, and the next one is elected while a host asks. Whoever is refused by one
// that answers for itself is told so at once.
func TestEnrollInAnElection(t *testing.T) {
	ca := newAuthority(t)
	var asked atomic.Int32
	n := ca.node(controllerName)
	n.gives = func(key *ecdsa.PublicKey) (*agentpb.Issued, error) {
		switch asked.Add(1) {
		case 1:
			return nil, sentOn("127.0.0.1:1") // the dead one
		case 2:
			return nil, sentOn("")
		}
		return ca.issued(key, hostID, time.Hour), nil
	}
	if err := Enroll(t.Context(), options(t, ca.token(), n.address)); err != nil {
		t.Error(err)
	}
	if got := asked.Load(); got != 3 {
		t.Errorf("asked %d times, want 3", got)
	}

	asked.Store(0)
	no := ca.node(controllerName)
	no.gives = func(*ecdsa.PublicKey) (*agentpb.Issued, error) {
		return nil, status.Error(codes.PermissionDenied, "this token is used up")
	}
	err := Enroll(t.Context(), options(t, ca.token(), n.address, no.address))
	if err == nil || !strings.Contains(err.Error(), "used up") || asked.Load() != 1 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	n.gives = func(*ecdsa.PublicKey) (*agentpb.Issued, error) {
		cancel()
		return nil, sentOn("")
	}
	if err := Enroll(ctx, options(t, ca.token(), n.address)); err == nil {
		t.Error("it is enrolled, though Ctrl-C came and nobody led")
	}
}

// Whoever is not the pinned controller learns no token, and whatever is not this host's is not kept.
func TestEnrollTrustsNobody(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	good := ca.node(controllerName)
	playing := ca.node("salve://host/" + hostID) // a host with a certificate of the right authority
	foreign := other.node(controllerName)
	another := ca.node(controllerName)
	another.gives = func(key *ecdsa.PublicKey) (*agentpb.Issued, error) {
		return ca.issued(key, strings.Repeat("a", 32), time.Hour), nil
	}
	swapped := ca.node(controllerName)
	swapped.gives = func(*ecdsa.PublicKey) (*agentpb.Issued, error) {
		return ca.issued(&newKey(t).PublicKey, hostID, time.Hour), nil
	}
	rootless := ca.node(controllerName)
	rootless.gives = func(key *ecdsa.PublicKey) (*agentpb.Issued, error) {
		return &agentpb.Issued{Chain: ca.issued(key, hostID, time.Hour).GetChain(),
			Roots: credential.EncodeCerts(other.cert)}, nil
	}
	empty := ca.node(controllerName)
	empty.gives = func(*ecdsa.PublicKey) (*agentpb.Issued, error) { return nil, nil }
	plain := identity.Token{Use: identity.Enroll, ID: "0123456789abcdef", Secret: make([]byte,
		identity.SecretLen)}.String()
	tests := []struct {
		name, token, want string
		node              *node
		asked             bool
	}{
		{"a host that plays controller", ca.token(), "no controller", playing, false},
		{"another authority", ca.token(), "another authority", foreign, false},
		{"another host's certificate", ca.token(), "this is host/" + hostID, another, true},
		{"another key", ca.token(), "another key", swapped, true},
		{"authorities that do not fit", ca.token(), "does not fit", rootless, true},
		{"nothing", ca.token(), "no certificate", empty, true},
		{"no token", "x", "no token", good, false},
		{"a token without a fingerprint", plain, "plain text", good, false},
	}
	for _, tc := range tests {
		o := options(t, tc.token, tc.node.address)
		if err := Enroll(t.Context(), o); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if _, err := os.Stat(o.Path); err == nil {
			t.Errorf("%s: something was kept", tc.name)
		}
		if got := len(tc.node.asked) > 0; got != tc.asked {
			t.Errorf("%s: the node saw the request: %t", tc.name, got)
		}
	}
}

// A certificate renews itself before it ends, for a new key each time; what fails is tried again; and a change of
// authorities arrives.
func TestRenewer(t *testing.T) {
	ca, fresh := newAuthority(t), newAuthority(t)
	n := ca.node(controllerName)
	// To the renewer each certificate has twenty seconds left, to whoever checks it an hour: how long the renewal takes
	// on a slow machine is no matter.
	const life = time.Hour
	late := func() time.Time { return time.Now().Add(life - 20*time.Second) }
	n.gives = func(key *ecdsa.PublicKey) (*agentpb.Issued, error) { return ca.issued(key, hostID, life), nil }
	o := options(t, ca.token(), n.address)
	if err := Enroll(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	<-n.asked
	store, err := credential.Open(credential.Bundle(o.Path), nil)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := transport.New(transport.Options{Source: store.Config, Authorize: Controller})
	if err != nil {
		t.Fatal(err)
	}
	steps := make(chan func(*ecdsa.PublicKey) (*agentpb.Issued, error), 3)
	steps <- func(*ecdsa.PublicKey) (*agentpb.Issued, error) {
		return nil, status.Error(codes.Unavailable, "an election")
	}
	steps <- func(key *ecdsa.PublicKey) (*agentpb.Issued, error) { return ca.issued(key, hostID, life, fresh), nil }
	steps <- func(key *ecdsa.PublicKey) (*agentpb.Issued, error) {
		return fresh.issued(key, hostID, 24*time.Hour), nil
	}
	n.gives = func(key *ecdsa.PublicKey) (*agentpb.Issued, error) {
		next := <-steps
		if len(steps) == 1 { // the next answer comes from a node that shows the new authority's certificate
			defer n.shows(fresh, controllerName)
		}
		return next(key)
	}
	first := store.Current().Leaf.PublicKey
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	r := Renewer{Store: store, Ask: Nodes(lines, func() []string { return []string{n.address} }), Log: hclog.NewNullLogger(),
		Now: late}
	go func() { done <- r.Run(ctx) }()
	for range 3 {
		select {
		case <-n.asked:
		case <-time.After(time.Minute):
			t.Fatal("it does not renew")
		}
	}
	for deadline := time.After(time.Minute); store.Current().Root.Subject.CommonName != fresh.cert.Subject.CommonName; {
		select {
		case <-deadline:
			t.Fatal("the last certificate is not in use")
		case <-time.After(10 * time.Millisecond):
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if store.Current().Leaf.PublicKey.(*ecdsa.PublicKey).Equal(first) {
		t.Error("the key is the same")
	}
	if c, err := credential.Load(credential.Bundle(o.Path)); err != nil || !c.Leaf.Equal(store.Current().Leaf) {
		t.Errorf("the file holds another one: %v", err)
	}
}

// Pauses grow short when the end comes near, and a fleet does not come at once.
func TestWait(t *testing.T) {
	ca, key := newAuthority(t), newKey(t)
	text, err := credential.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x")
	cert := ca.issue(&key.PublicKey, "salve://host/"+hostID, 24*time.Hour)
	if err := os.WriteFile(path, append(text, credential.EncodeCerts(cert, ca.cert)...), 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := credential.Open(credential.Bundle(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[time.Duration]bool{}
	for _, tc := range []struct {
		left        time.Duration // until the end
		failed      int
		least, most time.Duration
	}{
		{25 * time.Hour, 0, 0, latePause}, // not valid yet: a clock was wrong when it was made
		{24 * time.Hour, 0, mostPause, mostPause + 2*time.Hour},
		{8 * time.Hour, 0, 0, 2 * time.Hour},
		{time.Minute, 0, 0, 12 * time.Second},
		{8 * time.Hour, 1, 12 * time.Minute, time.Hour},
		{time.Minute, 5, time.Second, 5 * time.Second},
		{time.Second, 5, leastPause / 2, 2 * leastPause},
		{-time.Minute, 5, latePause / 2, 2 * latePause},
		{-time.Minute, 0, 0, time.Second},
	} {
		r := Renewer{Store: store, Now: func() time.Time { return cert.NotAfter.Add(-tc.left) }}
		for range 100 {
			got := r.wait(tc.failed)
			seen[got] = true
			if got < tc.least || got > tc.most {
				t.Errorf("%s before the end, %d failed: waits %s", tc.left, tc.failed, got)
			}
		}
	}
	if len(seen) < 100 {
		t.Error("there is no jitter")
	}
}

// A machine that slept renews soon after it woke: its timers stood still, and its wall clock did not.
func TestPauseAfterSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slept atomic.Int64
		r := Renewer{Now: func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }}
		begun := time.Now()
		time.AfterFunc(time.Minute, func() { slept.Store(int64(3 * time.Hour)) })
		if !r.pause(t.Context(), 2*time.Hour, nil) {
			t.Error("it gave up")
		}
		if d := time.Since(begun); d < time.Minute || d > time.Minute+lookEvery {
			t.Errorf("it went on after %v of being awake", d)
		}
		begun = time.Now()
		slept.Store(int64(-24 * time.Hour)) // a clock that is set back must not make it wait longer
		if !r.pause(t.Context(), time.Hour, nil) || time.Since(begun) != time.Hour {
			t.Errorf("it waited %v", time.Since(begun))
		}
	})
}

// Who is enrolled again after the end is renewed in time, whatever pause had begun.
func TestEnrolledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = latePause / 4
		ca, path := newAuthority(t), filepath.Join(t.TempDir(), "identity.pem")
		enrol := func() {
			key := newKey(t)
			text, err := credential.EncodeKey(key)
			if err != nil {
				t.Fatal(err)
			}
			cert := ca.issue(&key.PublicKey, "salve://host/"+hostID, life)
			if err := os.WriteFile(path, append(text, credential.EncodeCerts(cert, ca.cert)...), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		enrol()
		store, err := credential.Open(credential.Bundle(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan time.Time)
		r := Renewer{Store: store, Log: hclog.NewNullLogger(), Ask: func(context.Context, []byte) (*agentpb.Issued, error) {
			asked <- time.Now()
			return nil, status.Error(codes.Unauthenticated, "it was revoked")
		}}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		for at := range asked {
			if store.Current().Expired(at) {
				break
			}
		}
		enrol()
		if changed, err := store.Reload(); err != nil || !changed {
			t.Fatal(changed, err)
		}
		if at := <-asked; store.Current().Expired(at) || at.Before(store.Current().Due()) {
			t.Errorf("asked %s before the end of the new one", store.Current().Leaf.NotAfter.Sub(at))
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
