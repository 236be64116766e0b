package state

import "github.com/salveops/salve/proto/logpb"

// requested is the answer to a request. What is granted has the unit that it acts on, for people: no rule asks for
// it but a pause, which does so before the grant.
func (s *State) requested(c *logpb.Request) *logpb.Result {
	r := s.request(c)
	if p := s.permits[tokenOf(r.GetGrant().GetToken())]; p != nil {
		p.Unit = clip(c.GetUnit(), maxName)
	}
	return r
}
