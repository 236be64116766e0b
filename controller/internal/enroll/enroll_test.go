package enroll

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/adminapi/reason"
	"github.com/salveops/salve/controller/internal/arbiter"
	"github.com/salveops/salve/controller/internal/authority"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

const hostID = "0123456789abcdef0123456789abcdef"

// log is one that says what a test wants, and keeps what it was asked.
type log struct {
	result *logpb.Result
	err    error
	asked  []*logpb.Command
}

func (l *log) Propose(_ context.Context, c *logpb.Command) (*logpb.Result, uint64, error) {
	l.asked = append(l.asked, c)
	return l.result, 1, l.err
}

func (l *log) Ready(context.Context) error { return l.err }

func newServer(t *testing.T, l *log) *Server {
	t.Helper()
	dir := t.TempDir()
	ca, err := authority.Create(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem"), time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Proposer: l, Authority: func() *authority.Authority { return ca },
		Roots: func() []byte { return credential.EncodeCerts(ca.Certificate()) }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func request(t testing.TB) []byte {
	t.Helper()
	key, err := credential.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := credential.Request(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func token() string {
	return identity.Token{Use: identity.Enroll, ID: "0123456789abcdef", Secret: make([]byte, identity.SecretLen),
		Pin: make([]byte, identity.PinLen)}.String()
}

// from is a call of an address.
func from(ctx context.Context, ip string) context.Context {
	return peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 1}})
}

// The log has what leaves the node, and nothing of the secret.
func TestEnroll(t *testing.T) {
	l := &log{result: &logpb.Result{}}
	s := newServer(t, l)
	r, err := s.Enroll(from(t.Context(), "192.0.2.1"), &agentpb.EnrollRequest{Token: token(), Host: hostID, Name: "web",
		Request: request(t)})
	if err != nil {
		t.Fatal(err)
	}
	certs, err := credential.Certificates(r.GetIssued().GetChain())
	if err != nil {
		t.Fatal(err)
	}
	c := l.asked[0].GetEnroll()
	if c.GetCertificate().GetSerial() != identity.Serial(certs[0]) || c.GetCertificate().GetNotAfter() != certs[0].NotAfter.UnixNano() ||
		bytes.Contains(c.GetHash(), make([]byte, 8)) || c.GetHost() != hostID {
		t.Errorf("%v", c)
	}
	if name, err := identity.Of(certs[0]); err != nil || name.ID != hostID || time.Until(certs[0].NotAfter) > authority.HostLife {
		t.Errorf("%v until %v, %v", name, certs[0].NotAfter, err)
	}
}

// What the log does not agree to does not leave the node.
func TestRefusals(t *testing.T) {
	good := &agentpb.EnrollRequest{Token: token(), Host: hostID, Request: request(t)}
	tests := []struct {
		name  string
		log   log
		r     *agentpb.EnrollRequest
		code  codes.Code
		why   string
		asked bool // the log was asked
	}{
		{"refused by the log", log{result: &logpb.Result{Refusal: &logpb.Refusal{Code: "used", Text: "x"}}}, good,
			codes.PermissionDenied, "used", true},
		{"another leads", log{err: arbiter.ErrNotLeader{ID: "c2", Address: "a:1"}}, good, codes.FailedPrecondition,
			reason.NotLeader, true},
		{"nobody knows", log{err: arbiter.ErrUnknownOutcome}, good, codes.Unavailable, "", true},
		{"no token", log{}, &agentpb.EnrollRequest{Host: hostID, Request: good.GetRequest()}, codes.InvalidArgument, "",
			false},
		{"no host", log{}, &agentpb.EnrollRequest{Token: token(), Host: "web", Request: good.GetRequest()},
			codes.InvalidArgument, "", false},
		{"no request", log{}, &agentpb.EnrollRequest{Token: token(), Host: hostID}, codes.InvalidArgument, "", false},
	}
	for _, tc := range tests {
		s := newServer(t, &tc.log)
		r, err := s.Enroll(t.Context(), tc.r)
		why, _ := reason.Of(err)
		if refused := s.Refused() > 0; refused != (tc.code == codes.PermissionDenied) {
			t.Errorf("%s: counted as refused: %t", tc.name, refused)
		}
		if status.Code(err) != tc.code || why != tc.why || r.GetIssued() != nil || (len(tc.log.asked) > 0) != tc.asked {
			t.Errorf("%s: %v, %v, the log was asked %d times", tc.name, r, err, len(tc.log.asked))
		}
	}
	s := newServer(t, &log{})
	s.o.Authority = func() *authority.Authority { return nil }
	if _, err := s.Enroll(t.Context(), good); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("without an authority's key: %v", err)
	}
	if _, err := s.Renew(t.Context(), &agentpb.RenewRequest{Request: request(t)}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("renewal by nobody: %v", err)
	}
}

// Who asks too often waits, and the others do not.
func TestLimits(t *testing.T) {
	l := &log{result: &logpb.Result{}}
	s := newServer(t, l)
	now := time.Now()
	s.o.Now = func() time.Time { return now }
	ask := func(ip string) codes.Code {
		_, err := s.Enroll(from(t.Context(), ip), &agentpb.EnrollRequest{Token: "x"})
		return status.Code(err)
	}
	for range askBurst {
		if code := ask("192.0.2.1"); code != codes.InvalidArgument {
			t.Fatal(code)
		}
	}
	if a, b := ask("192.0.2.1"), ask("192.0.2.2"); a != codes.ResourceExhausted || b != codes.InvalidArgument {
		t.Errorf("%v, and another address %v", a, b)
	}
	now = now.Add(askEvery)
	if code := ask("192.0.2.1"); code != codes.InvalidArgument {
		t.Errorf("a while later: %v", code)
	}
	for range renewBurst {
		if !s.news.TryKey(asKey(hostID), now) {
			t.Fatal("a host may renew a few times")
		}
	}
	if s.news.TryKey(asKey(hostID), now) || !s.news.TryKey(asKey("f"+hostID[1:]), now) {
		t.Error("renewals are not counted by host")
	}
	short, err := New(Options{Proposer: l, Roots: s.o.Roots, Life: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 { // renewals of a short life, one after the other
		if now = now.Add(13 * time.Second); !short.news.TryKey(asKey(hostID), now) {
			t.Fatal("a host whose certificates live 20 s cannot renew them")
		}
	}
}

// late is the copy of a node that hears of a token only as it takes its office.
type late struct {
	log
	now, then *state.State
}

func (l *late) View(f func(*state.State)) { f(l.now) }

func (l *late) Ready(context.Context) error {
	if l.err == nil {
		l.now = l.then
	}
	return l.err
}

// A node that does not know a token says who may know it, and only the leader, which knows all, refuses it.
func TestTokenNotHeardOf(t *testing.T) {
	made, err := identity.ParseToken(token())
	if err != nil {
		t.Fatal(err)
	}
	knows := state.New()
	for i, c := range []*logpb.Command{
		{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{Id: "g", Bootstrap: true, Reason: "test"}}},
		{What: &logpb.Command_MakeToken{MakeToken: &logpb.MakeToken{By: "ann", For: int64(time.Hour),
			Token: &logpb.AccessToken{Id: made.ID, Hash: made.Hash(), Use: logpb.TokenUse_TOKEN_USE_ENROLL}}}},
	} {
		results, err := knows.Apply(uint64(i+1), &logpb.Entry{Format: 1, At: int64(i + 1), Commands: []*logpb.Command{c}})
		if err != nil || results[0].GetRefusal() != nil {
			t.Fatal(results, err)
		}
	}
	for name, tc := range map[string]struct {
		then    *state.State
		err     error
		code    codes.Code
		why     string
		refused uint64
	}{
		"it does not lead":            {knows, arbiter.ErrNotLeader{ID: "c2", Address: "a:1"}, codes.FailedPrecondition, reason.NotLeader, 0},
		"it leads, and hears of it":   {knows, nil, codes.OK, "", 0},
		"it leads, and there is none": {state.New(), nil, codes.PermissionDenied, "token", 1},
	} {
		l := &late{log: log{result: &logpb.Result{}, err: tc.err}, now: state.New(), then: tc.then}
		s := newServer(t, &l.log)
		s.o.Proposer, s.o.Known = l, l
		_, err := s.Enroll(t.Context(), &agentpb.EnrollRequest{Token: made.String(), Host: hostID, Request: request(t)})
		if why, _ := reason.Of(err); status.Code(err) != tc.code || why != tc.why || s.Refused() != tc.refused {
			t.Errorf("%s: %v, %d refused", name, err, s.Refused())
		}
	}
}

// FuzzEnroll: whatever comes is answered, and only what is whole reaches the log.
func FuzzEnroll(f *testing.F) {
	f.Add(token(), hostID, "web", request(f))
	f.Add("", "", "", []byte{})
	dir := f.TempDir()
	ca, err := authority.Create(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem"), time.Now(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token, host, name string, request []byte) {
		l := &log{result: &logpb.Result{}}
		s, err := New(Options{Proposer: l, Authority: func() *authority.Authority { return ca },
			Roots: func() []byte { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Enroll(t.Context(), &agentpb.EnrollRequest{Token: token, Host: host, Name: name, Request: request})
		if (err == nil) != (len(l.asked) == 1) {
			t.Errorf("%v, and the log was asked %d times", err, len(l.asked))
		}
	})
}
