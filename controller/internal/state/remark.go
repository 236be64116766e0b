package state

import "github.com/salveops/salve/proto/logpb"

// maxWhat bounds the word for an act in the audit.
const maxWhat = 32

// remark puts into the audit what a person does with the nodes, which is not in the log otherwise.
func (s *State) remark(c *logpb.Note) *logpb.Result {
	switch {
	case c.GetBy() == "":
		return refuse("who", "somebody has to say so")
	case c.GetWhat() == "" || c.GetText() == "":
		return refuse("note", "a note says what was done")
	}
	s.note(c.GetBy(), clip(c.GetWhat(), maxWhat), "%s", c.GetText())
	return done()
}
