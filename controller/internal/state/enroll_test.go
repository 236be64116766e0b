package state

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/proto/logpb"
)

// An ID, a secret and a key of the number n.
func tokenN(n int) string { return fmt.Sprintf("%016x", n) }
func hostN(n int) string  { return fmt.Sprintf("%032x", n) }
func hashN(n int) []byte  { return identity.HashSecret([]byte{byte(n)}) }
func serialN(n int) string {
	return fmt.Sprintf("4%031x", n)
}

// certificate ends a day after now.
func (r *rig) certificate(n int) *logpb.Certificate {
	return &logpb.Certificate{Serial: serialN(n), NotAfter: r.s.At() + day}
}

// invites makes an enrolment token.
func (r *rig) invites(n int, mods ...func(*logpb.AccessToken)) *logpb.Command {
	t := &logpb.AccessToken{Id: tokenN(n), Hash: hashN(n), Use: logpb.TokenUse_TOKEN_USE_ENROLL}
	for _, m := range mods {
		m(t)
	}
	return command(&logpb.MakeToken{Token: t, By: "ann", For: hour})
}

// enrolls uses token n for host h with key k, and gives certificate c.
func (r *rig) enrolls(n, h, k, c int) *logpb.Command {
	return command(&logpb.Enroll{Token: tokenN(n), Hash: hashN(n), Host: hostN(h), Name: "web", Key: hashN(k),
		Certificate: r.certificate(c)})
}

func (r *rig) renews(h, old, c int) *logpb.Command {
	return command(&logpb.Renew{Host: hostN(h), Old: serialN(old), Certificate: r.certificate(c)})
}

func (r *rig) revokes(what string) *logpb.Command {
	return command(&logpb.RevokeIdentity{What: what, By: "ann", Reason: "stolen"})
}

// barred reports whether host h with certificate c is kept out.
func (r *rig) barred(h, c int) bool { return r.s.Barred("host/"+hostN(h), serialN(c)) != "" }

func TestTokenIsUsedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.must(r.invites(1))
	wrong := r.enrolls(1, 1, 1, 1)
	wrong.GetEnroll().Hash = hashN(2)
	r.code("token", r.apply(wrong))
	r.code("token", r.apply(r.enrolls(7, 1, 1, 1))) // no such token
	r.must(r.enrolls(1, 1, 1, 1))
	r.code("used", r.apply(r.enrolls(1, 2, 2, 2))) // another machine
	r.code("used", r.apply(r.enrolls(1, 1, 2, 2))) // another key
	r.must(r.enrolls(1, 1, 1, 3))                  // the answer was lost
	if e := r.s.Enrollments(); len(e) != 1 || len(e[0].GetCertificates()) != 2 || e[0].GetBy() != "ann" {
		t.Errorf("%v", e)
	}
	for _, a := range r.s.Audit(0, maxAudit) {
		if strings.Contains(a.GetText(), string(hashN(1))) {
			t.Error("the audit tells the hash")
		}
	}
}

func TestTokenEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.must(r.invites(1))
	r.must(r.invites(2))
	r.must(command(&logpb.EndToken{Id: tokenN(2), By: "ann", Reason: "wrong mail"}))
	r.code("token", r.apply(command(&logpb.EndToken{Id: tokenN(2), By: "ann"})))
	r.code("token", r.apply(r.enrolls(2, 1, 1, 1)))
	r.at += hour
	r.code("token", r.apply(r.enrolls(1, 1, 1, 1)))
}

func TestMakeToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("web", nil, "web1")
	access := func(name, role string) func(*logpb.AccessToken) {
		return func(x *logpb.AccessToken) { x.Use, x.Name, x.Role = logpb.TokenUse_TOKEN_USE_ACCESS, name, role }
	}
	tests := []struct {
		code string
		mod  func(*logpb.AccessToken)
	}{
		{"", func(x *logpb.AccessToken) {}},
		{"", func(x *logpb.AccessToken) { x.Host = "web1" }},
		{"", access("ann", "approver")},
		{"token", func(x *logpb.AccessToken) { x.Id = "x" }},
		{"token", func(x *logpb.AccessToken) { x.Hash = nil }},
		{"token", func(x *logpb.AccessToken) { x.Id = tokenN(100) }}, // there already
		{"host", func(x *logpb.AccessToken) { x.Host = "web2" }},
		{"role", access("ann", "root")},
		{"name", access("a b", "admin")},
		{"use", func(x *logpb.AccessToken) { x.Use = logpb.TokenUse_TOKEN_USE_UNSPECIFIED }},
	}
	for n, tc := range tests {
		c := r.invites(100+n, tc.mod)
		if tc.code == "" {
			r.must(c)
		} else {
			r.code(tc.code, r.apply(c))
		}
	}
	for code, c := range map[string]*logpb.MakeToken{"who": {For: hour}, "for": {By: "ann", For: maxTokenFor + 1}} {
		c.Token = r.invites(200).GetMakeToken().GetToken()
		r.code(code, r.apply(command(c)))
	}
}

// A host that is known is let in again by a person's word only, and one that was removed never.
func TestNoTakeover(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("web", nil, hostN(1), hostN(2), hostN(3))
	r.must(r.invites(1))
	r.code("known", r.apply(r.enrolls(1, 1, 1, 1)))
	mine := func(x *logpb.AccessToken) { x.Host = hostN(1) }
	r.must(r.invites(2, mine))
	r.code("host", r.apply(r.enrolls(2, 2, 1, 1)))
	r.must(r.enrolls(2, 1, 1, 1))
	r.must(r.enrolls(1, 9, 9, 9)) // one that is not known
	r.must(r.invites(3))
	r.code("known", r.apply(r.enrolls(3, 9, 8, 8))) // it has not said hello, and is known
	r.must(command(&logpb.RemoveHost{Host: hostN(3), By: "ann", Gone: true, Reason: "sold"}))
	r.code("removed", r.apply(r.enrolls(3, 3, 3, 3)))
	r.code("host", r.apply(r.invites(4, func(x *logpb.AccessToken) { x.Host = hostN(3) })))
	if !r.barred(3, 3) {
		t.Error("a removed host gets in")
	}
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := 1; n <= 2; n++ {
		r.must(r.invites(n))
		r.must(r.enrolls(n, n, n, n))
	}
	r.must(r.renews(1, 1, 11))
	if r.barred(1, 1) || r.barred(1, 11) || r.barred(1, 77) { // 77: by another authority
		t.Fatal("kept out, and nothing was revoked")
	}
	r.must(r.revokes("serial/" + serialN(1)))
	if !r.barred(1, 1) || r.barred(1, 11) || r.barred(2, 2) {
		t.Error("not the one certificate is out")
	}
	r.code("revoked", r.apply(r.renews(1, 1, 12)))
	r.must(r.revokes("host/" + hostN(1)))
	if !r.barred(1, 11) || !r.barred(1, 77) || r.barred(2, 2) {
		t.Error("not the one host is out")
	}
	r.code("revoked", r.apply(r.renews(1, 11, 12)))
	r.must(r.invites(3))
	r.code("known", r.apply(r.enrolls(3, 1, 3, 3)))

	// A person lets it in again: the new certificate is good, and the old ones are not.
	r.joins("web", nil, hostN(1))
	r.must(r.invites(4, func(x *logpb.AccessToken) { x.Host = hostN(1) }))
	r.must(r.enrolls(4, 1, 4, 4))
	r.must(r.renews(1, 4, 5))
	if r.barred(1, 4) || r.barred(1, 5) || !r.barred(1, 11) || !r.barred(1, 1) {
		t.Error("let in again: the wrong certificates are out")
	}
	for code, what := range map[string]string{"serial": "serial/XYZ", "name": "host/web"} {
		r.code(code, r.apply(r.revokes(what)))
	}
	r.code("who", r.apply(command(&logpb.RevokeIdentity{What: "operator/ann"})))
}

func TestAccess(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n, name := range []string{"ann", "bob", "ann"} {
		r.must(r.invites(n, func(x *logpb.AccessToken) {
			x.Use, x.Name, x.Role = logpb.TokenUse_TOKEN_USE_ACCESS, name,
				"approver"
		}))
	}
	has := func(n, secret int) bool {
		who, _, ok := r.s.Access(tokenN(n), hashN(secret))
		return ok && who.Role == identity.Approver
	}
	r.must(r.invites(3))
	if !has(0, 0) || !has(1, 1) || has(0, 1) || has(3, 3) || has(9, 9) {
		t.Error("the wrong ones have access")
	}
	r.code("token", r.apply(r.enrolls(0, 1, 1, 1))) // access is no enrolment
	r.must(r.revokes("operator/ann"))
	if has(0, 0) || !has(1, 1) || has(2, 2) {
		t.Error("not all of ann's tokens are out, or bob's is")
	}
	if due := r.s.Due(); due != r.s.Tokens()[0].GetUntil() {
		t.Errorf("due at %d: log time would stand still, and the token never end", due)
	}
	r.at += hour
	r.must(command(&logpb.Tick{}))
	if has(1, 1) || r.s.expires() != 0 {
		t.Error("it has not ended")
	}
}

// What a token gave stands above what a host says of itself.
func TestLabelsOfAToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.must(r.invites(1, func(x *logpb.AccessToken) { x.Labels = []*logpb.Label{{Name: "role", Value: "web"}} }))
	r.must(r.enrolls(1, 1, 1, 1))
	r.labels[hostN(1)] = []*logpb.Label{{Name: "role", Value: "database"}, {Name: "rack", Value: "7"}}
	r.joins("web", nil, hostN(1))
	want := []*logpb.Label{{Name: "rack", Value: "7"}, {Name: "role", Value: "web"}}
	if diff := cmp.Diff(want, r.s.Host(hostN(1)).GetLabels(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// Nothing grows without end, and a snapshot holds all of it.
func TestAccessIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.must(r.invites(1))
	r.must(r.enrolls(1, 1, 1, 1))
	for n := range 50 {
		r.must(r.renews(1, n, n+1))
	}
	if got := len(r.s.Enrollments()[0].GetCertificates()); got != maxCertificate {
		t.Errorf("%d certificates are kept", got)
	}
	r.must(r.revokes("serial/" + serialN(50)))
	r.must(r.revokes("operator/ann"))
	again, err := Restore(r.s.Snapshot())
	if err != nil || string(again.Hash()) != string(r.s.Hash()) || again.Barred("host/"+hostN(1), serialN(50)) == "" {
		t.Errorf("a snapshot loses something: %v", err)
	}
	r.at += 40 * day
	r.must(command(&logpb.Tick{}))
	if len(r.s.Tokens()) != 0 || len(r.s.Enrollments()) != 0 || len(r.s.Revocations()) != 1 {
		t.Errorf("after 40 days: %v, %v, %v", r.s.Tokens(), r.s.Enrollments(), r.s.Revocations())
	}
	r.at += keepRevokedFor
	r.must(command(&logpb.Tick{}))
	if len(r.s.Revocations()) != 0 {
		t.Errorf("for ever: %v", r.s.Revocations())
	}
}
