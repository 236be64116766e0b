package access

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionalpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
	"github.com/salveops/salve/proto/peerpb"
)

const hostID = "0123456789abcdef0123456789abcdef"

// replica is a state that a test changes.
type replica struct {
	mu      sync.Mutex
	s       *state.State
	index   uint64
	changed chan struct{}
}

func newReplica() *replica { return &replica{s: state.New(), changed: make(chan struct{})} }

func (r *replica) View(f func(*state.State)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.s)
}

func (r *replica) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

func (r *replica) apply(t *testing.T, c *logpb.Command) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index++
	results, err := r.s.Apply(r.index, &logpb.Entry{Format: 1, At: int64(r.index), Commands: []*logpb.Command{c}})
	if err != nil || results[0].GetRefusal() != nil {
		t.Fatalf("%v, %v", results, err)
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *replica) revoke(t *testing.T, what string) {
	t.Helper()
	r.apply(t, &logpb.Command{What: &logpb.Command_RevokeIdentity{RevokeIdentity: &logpb.RevokeIdentity{What: what,
		By: "ann"}}})
}

// token gives an operator's.
func (r *replica) token(t *testing.T, n byte, name, role string) string {
	t.Helper()
	x := identity.Token{Use: identity.Access, ID: fmt.Sprintf("%016x", n), Secret: make([]byte, identity.SecretLen)}
	x.Secret[0] = n
	r.apply(t, &logpb.Command{What: &logpb.Command_MakeToken{MakeToken: &logpb.MakeToken{By: "ann", For: int64(time.Hour),
		Token: &logpb.AccessToken{Id: x.ID, Hash: x.Hash(), Use: logpb.TokenUse_TOKEN_USE_ACCESS, Name: name, Role: role}}}})
	return x.String()
}

func newGate(t *testing.T, r *replica, plain bool) *Gate {
	t.Helper()
	g, err := New(Options{Replica: r, Plain: plain})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// certificate says what a certificate would, which is signed by nobody: the handshake has seen to that.
func certificate(t *testing.T, serial int64, name string) *x509.Certificate {
	t.Helper()
	u, err := url.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{SerialNumber: big.NewInt(serial), URIs: []*url.URL{u}, NotAfter: time.Now().Add(time.Hour)}
}

// services are all that a node serves.
func services() []grpc.ServiceDesc {
	return []grpc.ServiceDesc{adminpb.Admin_ServiceDesc, agentpb.Line_ServiceDesc, agentpb.Enrollment_ServiceDesc,
		agentpb.Figures_ServiceDesc, peerpb.Peer_ServiceDesc, healthpb.Health_ServiceDesc, reflectionpb.ServerReflection_ServiceDesc,
		reflectionalpha.ServerReflection_ServiceDesc}
}

// Every method is in the table, so that nobody adds one and forgets to say who may call it; and nothing else is.
func TestTableHasEveryMethod(t *testing.T) {
	table := Table()
	for _, s := range services() {
		var methods []string
		for _, m := range s.Methods {
			methods = append(methods, m.MethodName)
		}
		for _, m := range s.Streams {
			methods = append(methods, m.StreamName)
		}
		for _, m := range methods {
			name := "/" + s.ServiceName + "/" + m
			need, ok := table[name]
			if !ok {
				t.Errorf("%s has no role: say in Table who may call it", name)
			}
			if s.ServiceName == adminpb.Admin_ServiceDesc.ServiceName && (need.Anyone || need.Role == identity.NoRole) {
				t.Errorf("%s is open to everybody", name)
			}
			delete(table, name)
		}
	}
	for name := range table {
		t.Errorf("%s is no method", name)
	}
}

// What changes something asks for more than reading does, and says who asks.
func TestChangesAreSigned(t *testing.T) {
	for role, methods := range operators() {
		for _, m := range methods {
			base := m[strings.LastIndex(m, "/")+1:]
			reads := base == "Status" || base == "Watch" || base == "WhoAmI" || strings.HasPrefix(base,
				"List") || strings.HasPrefix(base, "Get")
			if !reads && role == identity.Viewer {
				t.Errorf("%s changes something, and a viewer may", m)
			}
			service := adminpb.File_adminpb_admin_proto.Services().ByName("Admin")
			in := service.Methods().ByName(protoreflect.Name(base)).Input()
			if f := in.Fields().ByName("by"); !reads && f == nil && base != "RecordChange" {
				t.Errorf("%s does not say who asks", m)
			}
		}
	}
}

func TestWhoMayWhat(t *testing.T) {
	r := newReplica()
	g := newGate(t, r, false)
	old := certificate(t, 9, "salve://operator/ann/admin")
	old.NotAfter = time.Now().Add(-time.Second)
	callers := map[string]Shown{
		"nobody":     {},
		"viewer":     {Peer: certificate(t, 1, "salve://operator/v/viewer")},
		"operator":   {Peer: certificate(t, 2, "salve://operator/o/operator")},
		"approver":   {Peer: certificate(t, 3, "salve://operator/p/approver")},
		"admin":      {Peer: certificate(t, 4, "salve://operator/a/admin")},
		"host":       {Peer: certificate(t, 5, "salve://host/"+hostID)},
		"controller": {Peer: certificate(t, 6, "salve://controller/ctl-1")},
		"stranger":   {Peer: certificate(t, 7, "https://example.org/")},
		"expired":    {Peer: old},
		"token":      {Bearer: r.token(t, 1, "bob", "approver"), Address: "192.0.2.1:1"},
		"wrong":      {Bearer: strings.Replace(r.token(t, 2, "bob", "admin"), "AgAA", "AwAA", 1), Address: "192.0.2.2:1"},
		"both": {Peer: certificate(t, 5, "salve://host/"+hostID), Bearer: r.token(t, 3, "ann", "admin"),
			Address: "192.0.2.3:1"},
	}
	tests := []struct {
		method string
		may    string
	}{
		{adminpb.Admin_Status_FullMethodName, "viewer operator approver admin token both"},
		{adminpb.Admin_Pause_FullMethodName, "operator approver admin token both"},
		{adminpb.Admin_SettlePermit_FullMethodName, "approver admin token both"},
		{adminpb.Admin_CreateToken_FullMethodName, "admin both"},
		{agentpb.Line_Connect_FullMethodName, "host"},
		{agentpb.Enrollment_Renew_FullMethodName, "host controller"},
		{peerpb.Peer_Configure_FullMethodName, "controller"},
		{agentpb.Enrollment_Enroll_FullMethodName,
			"nobody viewer operator approver admin host controller stranger expired token wrong both"},
		{"/salve.admin.v1.Admin/Forgotten", ""},
	}
	for _, tc := range tests {
		for name, s := range callers {
			_, err := g.Enter(With(t.Context(), s), tc.method)
			if may := strings.Contains(" "+tc.may+" ", " "+name+" "); may != (err == nil) {
				t.Errorf("%s by %s: %v", tc.method, name, err)
			}
		}
	}
}

// In plain text, which never leaves the machine, everything goes on as before, and says that nobody was asked.
func TestPlain(t *testing.T) {
	g := newGate(t, newReplica(), true)
	for method := range Table() {
		ctx, err := g.Enter(t.Context(), method)
		if c, _ := Of(ctx); err != nil || c.How != ByNothing || MayBe(ctx, hostID) != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	r := &adminpb.PauseRequest{By: "root (kim)"}
	ctx, _ := g.Enter(t.Context(), adminpb.Admin_Pause_FullMethodName)
	if g.sign(ctx, adminpb.Admin_Pause_FullMethodName, r); r.GetBy() != "root (kim)" {
		t.Errorf("by %q", r.GetBy())
	}
}

// The audit has the name of the certificate, not what the client claims; what hosts send stays as it is.
func TestSign(t *testing.T) {
	g := newGate(t, newReplica(), false)
	tests := []struct {
		method, name string
		m, want      proto.Message
	}{
		{adminpb.Admin_Pause_FullMethodName, "salve://operator/ann/admin", &adminpb.PauseRequest{By: "kim", Scope: "all"},
			&adminpb.PauseRequest{By: "ann", Scope: "all"}},
		{adminpb.Admin_RecordChange_FullMethodName, "salve://operator/ann/admin",
			&adminpb.RecordChangeRequest{Change: &logpb.Change{By: "kim"}}, &adminpb.RecordChangeRequest{Change: &logpb.Change{By: "ann"}}},
		{agentpb.Line_Connect_FullMethodName, "salve://host/" + hostID,
			&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Request{Request: &logpb.Request{By: "kim"}}},
			&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Request{Request: &logpb.Request{By: "kim"}}}},
	}
	for _, tc := range tests {
		ctx, err := g.Enter(With(t.Context(), Shown{Peer: certificate(t, 1, tc.name)}), tc.method)
		if err != nil {
			t.Fatal(err)
		}
		if g.sign(ctx, tc.method, tc.m); !proto.Equal(tc.m, tc.want) {
			t.Errorf("%v, want %v", tc.m, tc.want)
		}
	}
}

// Each host only for itself.
func TestMayBe(t *testing.T) {
	g := newGate(t, newReplica(), false)
	ctx, err := g.Enter(With(t.Context(), Shown{Peer: certificate(t, 1, "salve://host/"+hostID)}),
		agentpb.Line_Connect_FullMethodName)
	if err != nil || MayBe(ctx, hostID) != nil {
		t.Errorf("%v", err)
	}
	if MayBe(ctx, strings.Repeat("0", 32)) == nil || MayBe(t.Context(), hostID) == nil {
		t.Error("a host speaks for another, or somebody for one without a word")
	}
}

func TestHandshake(t *testing.T) {
	r := newReplica()
	g := newGate(t, r, false)
	host, node := certificate(t, 255, "salve://host/"+hostID), certificate(t, 2, "salve://controller/ctl-1")
	raft := g.PeerOf(identity.Controller)
	if g.Peer(host) != nil || g.Peer(node) != nil || raft(node) != nil || raft(host) == nil {
		t.Error("the wrong ones get in")
	}
	r.revoke(t, "serial/ff")
	r.revoke(t, "controller/ctl-1")
	if g.Peer(host) == nil || g.Peer(node) == nil || raft(node) == nil {
		t.Error("who was revoked gets in")
	}
}

// stream is one that waits for its end.
type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s stream) Context() context.Context { return s.ctx }

// Who is shut out is cut at once, whose certificate or token ends is cut then, and the others stay.
func TestStreamsAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica()
		g := newGate(t, r, false)
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = g.Run(ctx) }()
		ended := map[string]error{}
		var mu sync.Mutex
		open := func(name, method string, s Shown) {
			go func() {
				err := g.Stream()(nil, stream{ctx: With(ctx, s)}, &grpc.StreamServerInfo{FullMethod: method},
					func(_ any, ss grpc.ServerStream) error { <-ss.Context().Done(); return ss.Context().Err() })
				mu.Lock()
				defer mu.Unlock()
				ended[name] = err
			}()
			synctest.Wait()
		}
		is := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			for _, name := range want {
				if status.Code(ended[name]) != codes.Unauthenticated {
					t.Errorf("%s: %s ended with %v", what, name, ended[name])
				}
			}
			if len(ended) != len(want) {
				t.Errorf("%s: ended are %v, want %v", what, ended, want)
			}
		}
		watch, connect := adminpb.Admin_Watch_FullMethodName, agentpb.Line_Connect_FullMethodName
		short := certificate(t, 7, "salve://operator/brief/viewer")
		short.NotAfter = time.Now().Add(time.Minute)
		open("host", connect, Shown{Peer: certificate(t, 255, "salve://host/"+hostID)})
		open("ann", watch, Shown{Peer: certificate(t, 2, "salve://operator/ann/viewer")})
		open("bob's token", watch, Shown{Bearer: r.token(t, 1, "bob", "viewer")})
		open("short", watch, Shown{Peer: short})
		is("nothing happened")
		r.revoke(t, "operator/somebody")
		is("somebody else was revoked")
		r.revoke(t, "serial/ff")
		is("the host's certificate", "host")
		r.revoke(t, "operator/bob")
		is("bob", "host", "bob's token")
		time.Sleep(61 * time.Second)
		is("after a minute", "host", "bob's token", "short")
		open("token", watch, Shown{Bearer: r.token(t, 2, "carl", "viewer")})
		r.index += uint64(time.Hour)
		r.apply(t, &logpb.Command{What: &logpb.Command_Tick{Tick: &logpb.Tick{}}})
		is("the token's end in log time", "host", "bob's token", "short", "token")
		stop()
		synctest.Wait()
		if len(g.open.all) != 0 {
			t.Errorf("%d streams are still noted", len(g.open.all))
		}
	})
}

// Who fails too often is not listened to, and others are.
func TestLimits(t *testing.T) {
	r := newReplica()
	g := newGate(t, r, false)
	now := time.Now()
	g.o.Now = func() time.Time { return now }
	good := r.token(t, 1, "ann", "admin")
	try := func(token, address string) codes.Code {
		_, err := g.Enter(With(t.Context(), Shown{Bearer: token, Address: address}), adminpb.Admin_Status_FullMethodName)
		return status.Code(err)
	}
	for range failBurst {
		if code := try("x", "192.0.2.1:1"); code != codes.Unauthenticated {
			t.Fatal(code)
		}
	}
	if code := try(good, "192.0.2.1:2"); code != codes.ResourceExhausted {
		t.Errorf("after %d failures: %v", failBurst, code)
	}
	if code := try(good, "192.0.2.2:1"); code != codes.OK {
		t.Errorf("another address: %v", code)
	}
	now = now.Add(failEvery)
	if code := try(good, "192.0.2.1:1"); code != codes.OK {
		t.Errorf("a while later: %v", code)
	}
	for n := range failAllBurst {
		g.failures.Take(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), now)
	}
	if code := try(good, "192.0.2.3:1"); code != codes.ResourceExhausted {
		t.Errorf("in all: %v", code)
	}
}

func FuzzBearer(f *testing.F) {
	f.Add("Bearer x")
	f.Fuzz(func(t *testing.T, header string) {
		r := newReplica()
		g, err := New(Options{Replica: r})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Enter(With(t.Context(), Shown{Bearer: Bearer(header)}),
			adminpb.Admin_Status_FullMethodName); err == nil ||
			errors.Is(err, context.Canceled) {
			t.Errorf("%q lets in", header)
		}
	})
}
