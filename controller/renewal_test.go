package controller

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/controller/internal/authority"
	"github.com/salveops/salve/pkg/credential"
	renew "github.com/salveops/salve/pkg/enroll"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/proto/adminpb"
)

// shown is the certificate that a node shows, nil if it shows none that is good.
func (x *trust) shown(n int) *x509.Certificate {
	x.t.Helper()
	conn, err := x.lines(x.bundle()).Dial(x.t.Context(), x.nodes[n].grpc)
	if err != nil {
		return nil
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
}

// heard are the nodes that the leader has heard within a time.
func (x *trust) heard(within time.Duration) (names []string) {
	r, err := x.leader().ListPeers(x.t.Context(), &adminpb.ListPeersRequest{})
	if err != nil {
		return nil
	}
	for _, p := range r.GetPeers() {
		if p.GetHeard() >= 0 && p.GetHeard() < int64(within) {
			names = append(names, p.GetId())
		}
	}
	return names
}

// Certificates of nodes end soon; one node has the authority's key, and the others ask it. When the first ones have
// ended, the cluster goes on by the next ones.
func TestNodesRenew(t *testing.T) {
	const left = time.Minute // of which nothing has to go by
	begun := time.Now()
	x := newTrustWith(t, trustOptions{left: map[int]time.Duration{0: left, 1: left, 2: left},
		keys: func(n int) bool { return n == 1 }})
	for n, s := range x.nodes {
		s.eventually(x.name(n)+" shows its next certificate", func() bool {
			c := x.shown(n)
			return c != nil && c.NotAfter.Sub(begun) > authority.NodeLife-time.Hour
		})
		if c, err := credential.Load(credential.Bundle(filepath.Join(filepath.Dir(s.file), "data", renewedFile))); err != nil ||
			c.Name.ID != x.name(n) {
			t.Errorf("%s keeps %v, %v", x.name(n), c, err)
		}
	}
	jump(t, left+time.Since(begun))
	x.nodes[0].eventually("the first certificates have ended, and all nodes hear each other", func() bool {
		return len(x.heard(time.Second)) == 3
	})
	if _, text := x.get(t, x.bundle(), "/metrics"); !strings.Contains(text, "\nsalve_controller_certificate_end_seconds 1.") {
		t.Error("there is no metric of the certificate's end")
	}
}

// Where nobody has the authority's key nothing can be renewed: the node says so, and when its certificate has ended it is
// cut off the others, on lines that were open, too.
func TestNodeExpires(t *testing.T) {
	x := newTrustWith(t, trustOptions{left: map[int]time.Duration{2: time.Minute}, keys: func(int) bool { return false }})
	x.nodes[0].eventually("all nodes hear each other", func() bool { return len(x.heard(time.Second)) == 3 })
	for _, line := range []string{"cannot renew the certificate yet", "is not renewed", "no key of an authority"} {
		x.nodes[2].eventually("the node says: "+line, func() bool { return x.nodes[2].log.has(line) })
	}
	jump(t, time.Minute)
	x.nodes[0].eventually("it is not heard any more", func() bool { return x.shown(2) == nil && len(x.heard(2*time.Second)) == 2 })
}

// What people are told of the end of a node's certificate, and when.
func TestEnding(t *testing.T) {
	a, err := authority.Create(filepath.Join(t.TempDir(), caFile), filepath.Join(t.TempDir(), caKeyFile), time.Now().Add(-authority.NodeLife), nil)
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	tests := []struct {
		name       string
		life, left time.Duration
		want       string
	}{
		{"fresh", 365 * day, 364 * day, ""},
		{"due, and not renewed yet", 365 * day, 100 * day, ""},
		{"a month before", 365 * day, 29 * day, "is not renewed"},
		{"ended", 365 * day, -time.Hour, "has ended"},
		{"short, fresh", time.Hour, 50 * time.Minute, ""},
		{"short, late", time.Hour, 14 * time.Minute, "is not renewed"},
	}
	for _, tc := range tests {
		file := filepath.Join(t.TempDir(), "ctl-1.pem")
		key, cert, err := issue(a, authority.Order{Name: identity.Name{Kind: identity.Controller, ID: "ctl-1"}, Life: tc.life,
			Now: time.Now().Add(tc.left - tc.life)})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, slices.Concat(key, credential.EncodeCerts(cert, a.Certificate())), 0o600); err != nil {
			t.Fatal(err)
		}
		store, err := credential.Open(credential.Bundle(file), nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &controller{plumbing: plumbing{own: store, renewer: &renew.Renewer{}}}
		if got := c.ending(); (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
