package state

import (
	"crypto/subtle"

	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/proto/logpb"
)

// Bounds of who is let in.
const (
	maxTokens     = 10_000
	maxTokenFor   = 366 * day
	keepTokensFor = 7 * day // after their end, so that people can see what became of them
	hashSize      = 32
)

// BadToken is the one answer for a token that is not known and one whose secret is wrong: whoever guesses learns
// nothing.
const BadToken = "this token is not known here, or it was ended"

// makeToken lets somebody in who shows a secret. The secret itself never comes here.
func (s *State) makeToken(c *logpb.MakeToken) *logpb.Result {
	t := c.GetToken()
	switch {
	case c.GetBy() == "":
		return refuse("who", "a token has a person who makes it")
	case !identity.ValidTokenID(t.GetId()) || len(t.GetHash()) != hashSize || s.tokens[t.GetId()] != nil:
		return refuse("token", "a token has an ID of its own and a hash")
	case c.GetFor() <= 0 || c.GetFor() > maxTokenFor:
		return refuse("for", "a token ends within a year")
	case len(s.tokens) >= maxTokens:
		return refuse("many", "there are %d tokens already", len(s.tokens))
	}
	n := &logpb.AccessToken{
		Id: t.GetId(), Hash: t.GetHash(), Use: t.GetUse(), By: clip(c.GetBy(), maxName), Made: s.now(), Until: plus(s.now(),
			c.GetFor()),
	}
	switch t.GetUse() {
	case logpb.TokenUse_TOKEN_USE_ENROLL:
		if t.GetHost() != "" {
			if h := s.hosts[t.GetHost()]; h == nil || h.GetRemoved() {
				return refuse("host", "there is no host %s that could enrol again", clip(t.GetHost(), maxName))
			}
		}
		n.Host, n.Labels = t.GetHost(), clipLabels(t.GetLabels())
		s.note(n.GetBy(), "token", "%s lets a machine in, once, within %v%s", n.GetId(), asDuration(c.GetFor()), s.only(n))
	case logpb.TokenUse_TOKEN_USE_ACCESS:
		role, err := identity.ParseRole(t.GetRole())
		if err != nil {
			return refuse("role", "%v", err)
		}
		who := identity.Name{Kind: identity.Operator, ID: t.GetName(), Role: role}
		if err := who.Check(); err != nil {
			return refuse("name", "%v", err)
		}
		n.Name, n.Role = who.ID, role.String()
		s.note(n.GetBy(), "token", "%s stands for %s as %s for %v", n.GetId(), n.GetName(), n.GetRole(),
			asDuration(c.GetFor()))
	default:
		return refuse("use", "a token is for an enrolment or for access")
	}
	s.tokens[n.GetId()] = n
	return &logpb.Result{What: &logpb.Result_Id{Id: n.GetId()}}
}

// only says for whom alone a token is.
func (s *State) only(t *logpb.AccessToken) string {
	if t.GetHost() == "" {
		return ""
	}
	return ", which is host " + s.name(t.GetHost()) + " again"
}

// endToken ends a token early.
func (s *State) endToken(c *logpb.EndToken) *logpb.Result {
	t := s.tokens[c.GetId()]
	switch {
	case c.GetBy() == "":
		return refuse("who", "somebody has to say so")
	case t == nil || t.GetUntil() <= s.now():
		return refuse("token", "there is no token %s that could be ended", clip(c.GetId(), maxName))
	}
	delete(s.tokens, t.GetId())
	s.shut = s.index
	s.note(c.GetBy(), "token", "%s was ended early: %s", t.GetId(), c.GetReason())
	return done()
}

// knows reports whether a secret with this hash is the one of a token of that use that has not ended.
func (s *State) knows(t *logpb.AccessToken, use logpb.TokenUse, hash []byte) bool {
	return t != nil && t.GetUse() == use && subtle.ConstantTimeCompare(t.GetHash(), hash) == 1
}

// Access is who holds the secret with this hash: the operator and the end of the token. ok is false if nobody does,
// or not any more.
func (s *State) Access(id string, hash []byte) (who identity.Name, until int64, ok bool) {
	t := s.tokens[id]
	if !s.knows(t, logpb.TokenUse_TOKEN_USE_ACCESS, hash) || t.GetUntil() <= s.now() {
		return identity.Name{}, 0, false
	}
	role, err := identity.ParseRole(t.GetRole())
	if err != nil {
		return identity.Name{}, 0, false
	}
	return identity.Name{Kind: identity.Operator, ID: t.GetName(), Role: role}, t.GetUntil(), true
}

// Invited reports whether a secret with this hash is the one of an enrolment token, used up or not.
func (s *State) Invited(id string, hash []byte) bool {
	return s.knows(s.tokens[id], logpb.TokenUse_TOKEN_USE_ENROLL, hash)
}

// expires is when the next token of an operator ends, 0 if none does. Log time has to come that far by itself, because
// whether a token is good is asked without an entry.
func (s *State) expires() (when int64) {
	for _, t := range s.tokens {
		if t.GetUse() == logpb.TokenUse_TOKEN_USE_ACCESS && t.GetUntil() > s.now() {
			when = sooner(when, t.GetUntil())
		}
	}
	return when
}

// endTokens ends the tokens of operators whose time has come.
func (s *State) endTokens() {
	for id, t := range s.tokens {
		if t.GetUse() == logpb.TokenUse_TOKEN_USE_ACCESS && t.GetUntil() <= s.now() {
			delete(s.tokens, id)
			s.shut = s.index
		}
	}
}

// Tokens are all that are kept, by ID; not to be changed.
func (s *State) Tokens() []*logpb.AccessToken { return sorted(s.tokens, compare) }
