package state

import (
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/proto/logpb"
)

const (
	maxRevocations = 10_000
	// keepRevokedFor is how long a revocation of a name lasts: longer than any certificate of the controller's authority
	// but its own. One of another authority that lives longer has to be revoked there.
	keepRevokedFor = 400 * day
	serialPrefix   = "serial/"
)

// revokeIdentity shuts somebody out. What was given so far is void; what a person gives afterwards is not.
func (s *State) revokeIdentity(c *logpb.RevokeIdentity) *logpb.Result {
	if c.GetBy() == "" {
		return refuse("who", "somebody has to say so")
	}
	if len(s.revocations) >= maxRevocations && s.revocations[c.GetWhat()] == nil {
		return refuse("many", "%d identities are revoked already", len(s.revocations))
	}
	r := &logpb.Revocation{
		What: c.GetWhat(), By: clip(c.GetBy(), maxName), Reason: clip(c.GetReason(), maxText), At: s.now(),
		Until: plus(s.now(), keepRevokedFor),
	}
	if serial, ok := strings.CutPrefix(c.GetWhat(), serialPrefix); ok {
		if !identity.ValidSerial(serial) {
			return refuse("serial", "%q is no serial number: it has hex digits in lower case", clip(serial, maxName))
		}
		s.uncertify(r, serial)
	} else {
		kind, id, err := identity.ParseShort(c.GetWhat())
		if err != nil {
			return refuse("name", "%v", err)
		}
		s.shutOut(kind, id)
	}
	s.revocations[r.GetWhat()], s.shut = r, s.index
	s.note(r.GetBy(), "revoke", "%s is shut out: %s", r.GetWhat(), r.GetReason())
	return done()
}

// uncertify voids one certificate. It is remembered as long as it could be valid.
func (s *State) uncertify(r *logpb.Revocation, serial string) {
	for _, e := range s.enrollments {
		e.Certificates = slices.DeleteFunc(e.GetCertificates(), func(c *logpb.Certificate) bool {
			if c.GetSerial() != serial {
				return false
			}
			r.Until = plus(c.GetNotAfter(), keepCertificate)
			return true
		})
	}
}

// shutOut voids what a name was given.
func (s *State) shutOut(kind identity.Kind, id string) {
	switch kind {
	case identity.Host:
		if e := s.enrollments[id]; e != nil {
			e.Certificates = nil
		}
	case identity.Operator:
		for _, t := range s.Tokens() {
			if t.GetUse() == logpb.TokenUse_TOKEN_USE_ACCESS && t.GetName() == id {
				delete(s.tokens, t.GetId())
			}
		}
	}
}

// Barred says why nobody may come in by this name ("host/ID") and the certificate with this serial number, "" if he
// may. A name that was shut out is let in by certificates that it was given afterwards.
func (s *State) Barred(name, serial string) string {
	if r := s.revocations[serialPrefix+serial]; r != nil {
		return "the certificate was revoked by " + r.GetBy()
	}
	id, isHost := strings.CutPrefix(name, string(identity.Host)+"/")
	if isHost && s.hosts[id].GetRemoved() {
		return "host " + s.name(id) + " was removed"
	}
	r := s.revocations[name]
	if r == nil || isHost && s.gave(id, serial) {
		return ""
	}
	return name + " was revoked by " + r.GetBy()
}

// gave reports whether the host has this certificate from here, and it was not voided.
func (s *State) gave(host, serial string) bool {
	return slices.ContainsFunc(s.enrollments[host].GetCertificates(), func(c *logpb.Certificate) bool {
		return c.GetSerial() == serial
	})
}

// ShutOut is the index of the entry that last shut somebody out: who was let in before it has to be judged again.
func (s *State) ShutOut() uint64 { return s.shut }

// Revocations are those that last, by what they are about; not to be changed.
func (s *State) Revocations() []*logpb.Revocation { return sorted(s.revocations, compare) }

// pruneAccess forgets tokens, certificates and revocations that are over.
func (s *State) pruneAccess() {
	for id, t := range s.tokens {
		if plus(t.GetUntil(), keepTokensFor) <= s.now() {
			delete(s.tokens, id)
		}
	}
	for what, r := range s.revocations {
		if r.GetUntil() <= s.now() {
			delete(s.revocations, what)
		}
	}
	for id, e := range s.enrollments {
		s.expire(e)
		if h := s.hosts[id]; len(e.GetCertificates()) == 0 && (h == nil || h.GetRemoved()) {
			delete(s.enrollments, id)
		}
	}
}
