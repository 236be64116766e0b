package state

import "github.com/salveops/salve/proto/logpb"

func (s *State) acknowledge(*logpb.Acknowledge) *logpb.Result         { return done() }
func (s *State) release(*logpb.Release) *logpb.Result                 { return done() }
func (s *State) resolveIncident(*logpb.ResolveIncident) *logpb.Result { return done() }
func (s *State) silence(*logpb.SilenceCommand) *logpb.Result          { return done() }
func (s *State) endSilence(*logpb.EndSilence) *logpb.Result           { return done() }
func (s *State) recordChange(*logpb.RecordChange) *logpb.Result       { return done() }
func (s *State) delivered(*logpb.Delivered) *logpb.Result             { return done() }
func (s *State) quorumPage(*logpb.QuorumPage) *logpb.Result           { return done() }
func (s *State) tick() *logpb.Result                                  { s.overdue(); return done() }

func (s *State) tell(p *logpb.Permit, typ, format string, args ...any) {}
func (s *State) commonCause(key ruleKey, n int) string                 { return "" }
func (s *State) hostLost(h *logpb.Host, lost bool)                     {}
func (s *State) hostRemoved(h *logpb.Host)                             {}

func (s *State) events(c *logpb.Events) *logpb.Result {
	h := s.hosts[c.GetHost()]
	if r := s.sender(h, c.GetEpoch()); r != nil {
		return r
	}
	for _, e := range c.GetEvent() {
		if e.GetN() == h.GetMark()+1 {
			h.Mark = e.GetN()
		}
	}
	return done()
}
