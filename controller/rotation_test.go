package controller

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/proto/adminpb"
)

// read is a file of the trust's folder.
func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// put writes files into the trust's folder and has every node read them.
func (x *trust) put(files map[string][]byte) {
	x.t.Helper()
	for name, text := range files {
		if err := durable.Write(x.path(name), text, 0o600); err != nil {
			x.t.Fatal(err)
		}
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil { // to this process: the nodes run in it
		x.t.Fatal(err)
	}
}

// Old and new authority overlap: nodes trust both, then are known by the new one, then hosts renew, and then the old
// one goes. Nobody is cut off on the way.
func TestRotation(t *testing.T) {
	x := newTrust(t)
	old := read(t, x.path(caFile))
	host, err := x.enroll(x.invite(""), hostA)
	if err != nil {
		t.Fatal(err)
	}
	fresh := t.TempDir()
	for n := range x.nodes {
		o := InitOptions{Dir: fresh, CA: fresh, Node: x.name(n), Addresses: []string{"127.0.0.1"}, Out: io.Discard,
			Now: time.Now()}
		if n == 0 {
			o.CA, o.Operator, o.Role = "", "root", "admin"
		}
		if err := Init(o); err != nil {
			t.Fatal(err)
		}
	}
	of := func(name string) []byte { return read(t, filepath.Join(fresh, name)) }
	both := slices.Concat(of(caFile), old)

	x.put(map[string][]byte{caFile: both}) // every node knows the new one before any shows it
	x.shows("both authorities", x.bundle(), func(who *adminpb.WhoAmIResponse) bool {
		roots, err := credential.Roots(who.GetRoots())
		return err == nil && len(roots) == 2
	})
	certs := map[string][]byte{caKeyFile: of(caKeyFile)}
	for n := range x.nodes {
		for _, name := range []string{x.name(n) + ".pem", x.name(n) + "-key.pem"} {
			certs[name] = of(name)
		}
	}
	x.put(certs)
	x.shows("the new authority's certificates", credential.Bundle(filepath.Join(fresh, "operator-root.pem")),
		func(*adminpb.WhoAmIResponse) bool { return true })
	x.strange(host)

	grown := filepath.Join(t.TempDir(), "host.pem") // what an agent has that renewed during the overlap
	if err := durable.Write(grown, slices.Concat(read(t, host.CA), of(caFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	renewed := x.renew(t, credential.Bundle(grown))
	c, err := credential.Load(renewed)
	if err != nil || len(c.Roots) != 2 || string(credential.EncodeCerts(c.Root)) != string(of(caFile)) {
		t.Fatalf("renewed during the overlap: %v, %v", c, err)
	}

	x.put(map[string][]byte{caFile: of(caFile)})
	x.shows("the new authority alone", credential.Bundle(filepath.Join(fresh, "operator-root.pem")),
		func(who *adminpb.WhoAmIResponse) bool {
			roots, err := credential.Roots(who.GetRoots())
			return err == nil && len(roots) == 1
		})
	x.session(renewed, hostA)
	if _, err := x.hello(credential.Bundle(grown), hostA); err == nil {
		t.Error("the old authority's certificate still opens the door")
	}
}

// shows waits until every node answers so.
func (x *trust) shows(what string, f credential.Files, so func(*adminpb.WhoAmIResponse) bool) {
	x.t.Helper()
	for _, s := range x.nodes {
		s.eventually(what, func() bool {
			who, err := adminpb.NewAdminClient(x.line(x.lines(f), s.grpc)).WhoAmI(x.t.Context(), &adminpb.WhoAmIRequest{})
			return err == nil && so(who)
		})
	}
}

// strange checks that a host that was not told of the new authority does not take its nodes for the controller.
func (x *trust) strange(f credential.Files) {
	x.t.Helper()
	if conn, err := x.lines(f).Dial(x.t.Context(), x.nodes[0].grpc); err == nil {
		_ = conn.Close()
		x.t.Error("a host that was not told of the new authority trusts it")
	}
}

// A node that is revoked is heard by no other any more, on lines that were open as on new ones.
func TestRevokedNode(t *testing.T) {
	x := newTrust(t)
	peers := func() map[string]*adminpb.Peer {
		r, err := x.leader().ListPeers(t.Context(), &adminpb.ListPeersRequest{})
		if err != nil {
			return nil
		}
		out := map[string]*adminpb.Peer{}
		for _, p := range r.GetPeers() {
			out[p.GetId()] = p
		}
		return out
	}
	var victim string
	x.nodes[0].eventually("a follower that is heard", func() bool {
		for name, p := range peers() {
			if !p.GetLeader() && p.GetHeard() >= 0 && p.GetHeard() < int64(time.Second) {
				victim = name
			}
		}
		return victim != ""
	})
	led(x, adminpb.AdminClient.RevokeIdentity, &adminpb.RevokeIdentityRequest{What: "controller/" + victim, By: "x",
		Reason: "stolen"})
	x.nodes[0].eventually("the node is not heard", func() bool {
		p := peers()[victim]
		return p != nil && p.GetHeard() > int64(2*time.Second)
	})
}
