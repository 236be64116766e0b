package enroll

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/access"
	"github.com/salveops/salve/controller/internal/authority"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// empty is a state in which nothing is.
type empty struct{}

func (empty) View(f func(*state.State)) { f(state.New()) }
func (empty) Changed() <-chan struct{}  { return nil }

// A node gets another certificate by showing its own: for the names that this one has, whatever it asks for, by the
// authority that made it, and not through the log.
func TestNodeRenews(t *testing.T) {
	other, err := authority.Create(filepath.Join(t.TempDir(), "ca"), filepath.Join(t.TempDir(), "key"), time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &log{result: &logpb.Result{}}
	s := newServer(t, l)
	own := s.o.Authority()
	gate, err := access.New(access.Options{Replica: empty{}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		by      *authority.Authority
		keyless bool
		code    codes.Code
	}{
		{"by its own authority", own, false, codes.OK},
		{"by another authority", other, false, codes.FailedPrecondition},
		{"at a node that gives none", own, true, codes.FailedPrecondition},
	}
	for _, tc := range tests {
		key, err := credential.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		old, err := tc.by.Issue(authority.Order{Name: identity.Name{Kind: identity.Controller, ID: "ctl-2"},
			Key: &key.PublicKey, Addresses: []string{"ctl-2.example", "192.0.2.2"}, Life: time.Hour, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		s.o.Authority = func() *authority.Authority { return own }
		if tc.keyless {
			s.o.Authority = nil
		}
		ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: &net.TCPAddr{}, AuthInfo: credentials.TLSInfo{
			State: tls.ConnectionState{PeerCertificates: []*x509.Certificate{old}}}})
		if ctx, err = gate.Enter(ctx, agentpb.Enrollment_Renew_FullMethodName); err != nil {
			t.Fatal(err)
		}
		r, err := s.Renew(ctx, &agentpb.RenewRequest{Request: request(t)})
		if status.Code(err) != tc.code {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err != nil {
			continue
		}
		certs, err := credential.Certificates(r.GetIssued().GetChain())
		if err != nil {
			t.Fatal(err)
		}
		name, err := identity.Of(certs[0])
		if err != nil || name.Short() != "controller/ctl-2" || !slices.Equal(certs[0].DNSNames, old.DNSNames) ||
			len(certs[0].IPAddresses) != 1 || time.Until(certs[0].NotAfter) < authority.NodeLife-time.Hour {
			t.Errorf("%s: %v, %v", tc.name, certs[0], err)
		}
	}
	if len(l.asked) > 0 {
		t.Errorf("the log has %v", l.asked)
	}
}
