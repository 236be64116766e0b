package state

import (
	"bytes"
	"slices"

	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/proto/logpb"
)

// Every certificate that the controller's authority gives to a host is a command of the log first. So a token is used
// once, whoever leads; who was shut out gets no new certificate; and a host that was shut out and let in again is told
// from the machine that has its old key.

const (
	maxEnrollments = 100_000
	maxCertificate = 8 // of one host at a time
	// keepCertificate is for how long after its end a certificate is known: clocks of nodes and log time differ.
	keepCertificate = 30 * day
)

// enroll uses a token up.
func (s *State) enroll(c *logpb.Enroll) *logpb.Result {
	t := s.tokens[c.GetToken()]
	switch {
	case !s.knows(t, logpb.TokenUse_TOKEN_USE_ENROLL, c.GetHash()):
		return refuse("token", BadToken)
	case len(c.GetKey()) != hashSize || !validCertificate(c.GetCertificate()):
		return refuse("enroll", "an enrolment says the key and the certificate that is given")
	}
	if err := (identity.Name{Kind: identity.Host, ID: c.GetHost()}).Check(); err != nil {
		return refuse("host", "%v", err)
	}
	again := t.GetUsed() != 0 && t.GetUsedBy() == c.GetHost() && bytes.Equal(t.GetUsedKey(), c.GetKey())
	if no := s.mayEnroll(t, c, again); no != nil {
		return no
	}
	e := s.enrollments[c.GetHost()]
	if e == nil {
		e = &logpb.Enrollment{Host: c.GetHost()}
		s.enrollments[e.GetHost()] = e
	}
	e.Token, e.By, e.At, e.Labels = t.GetId(), t.GetBy(), s.now(), t.GetLabels()
	s.certify(e, c.GetCertificate())
	t.Used, t.UsedBy, t.UsedKey = s.now(), c.GetHost(), c.GetKey()
	s.note(e.GetBy(), "enroll", "host %s (%s) was let in by token %s", clip(c.GetName(), maxName), e.GetHost(), t.GetId())
	return done()
}

// mayEnroll refuses a token that has ended or was used, and a host that only a person may let in.
func (s *State) mayEnroll(t *logpb.AccessToken, c *logpb.Enroll, again bool) *logpb.Result {
	h := s.hosts[c.GetHost()]
	switch {
	case t.GetUntil() <= s.now():
		return refuse("token", "this token has ended")
	case t.GetUsed() != 0 && !again:
		return refuse("used", "this token was used already, by host %s", s.name(t.GetUsedBy()))
	case t.GetHost() != "" && t.GetHost() != c.GetHost():
		return refuse("host", "this token is for another host")
	case h.GetRemoved():
		return refuse("removed", "host %s was removed; its ID stays dead: move the agent's state folder away, so that the machine "+
			"gets another one", c.GetHost())
	case (h != nil || s.enrollments[c.GetHost()] != nil) && t.GetHost() != c.GetHost() && !again:
		return refuse("known", "host %s is known already; a token of salve enroll token --host lets it in again",
			s.name(c.GetHost()))
	case s.enrollments[c.GetHost()] == nil && len(s.enrollments) >= maxEnrollments:
		return refuse("many", "there are %d hosts already", len(s.enrollments))
	}
	return nil
}

// renew notes another certificate of a host.
func (s *State) recertify(c *logpb.Renew) *logpb.Result {
	who := identity.Name{Kind: identity.Host, ID: c.GetHost()}
	if err := who.Check(); err != nil {
		return refuse("host", "%v", err)
	}
	e := s.enrollments[c.GetHost()]
	switch why := s.Barred(who.Short(), c.GetOld()); {
	case why != "":
		return refuse("revoked", "%s", why)
	case !validCertificate(c.GetCertificate()):
		return refuse("renew", "a renewal says the certificate that is given")
	case e == nil && len(s.enrollments) >= maxEnrollments:
		return refuse("many", "there are %d hosts already", len(s.enrollments))
	case e == nil: // let in by another authority, or before a backup that was restored
		e = &logpb.Enrollment{Host: c.GetHost(), At: s.now()}
		s.enrollments[e.GetHost()] = e
	}
	s.certify(e, c.GetCertificate())
	return done()
}

// certify adds a certificate and forgets what is over.
func (s *State) certify(e *logpb.Enrollment, c *logpb.Certificate) {
	s.expire(e)
	e.Certificates = append(e.GetCertificates(), c)
	if over := len(e.GetCertificates()) - maxCertificate; over > 0 {
		e.Certificates = slices.Clone(e.GetCertificates()[over:])
	}
}

// expire forgets certificates that no clock can take for valid any more.
func (s *State) expire(e *logpb.Enrollment) {
	e.Certificates = slices.DeleteFunc(e.GetCertificates(), func(c *logpb.Certificate) bool {
		return plus(c.GetNotAfter(), keepCertificate) <= s.now()
	})
}

func validCertificate(c *logpb.Certificate) bool {
	return identity.ValidSerial(c.GetSerial()) && c.GetNotAfter() > 0
}

// labels are those of a host: what its token gave, and what it says of itself besides.
func (s *State) labels(c *logpb.Hello) []*logpb.Label {
	given := s.enrollments[c.GetHost()].GetLabels()
	if len(given) == 0 {
		return c.GetLabels()
	}
	out := slices.DeleteFunc(slices.Clone(c.GetLabels()), func(l *logpb.Label) bool {
		return slices.ContainsFunc(given, func(g *logpb.Label) bool { return g.GetName() == l.GetName() })
	})
	out = append(out, given...)
	slices.SortStableFunc(out, func(a, b *logpb.Label) int { return compare(a.GetName(), b.GetName()) })
	return out
}

// Enrollments are the hosts that were let in, by ID; not to be changed.
func (s *State) Enrollments() []*logpb.Enrollment { return sorted(s.enrollments, compare) }
