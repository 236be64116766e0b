package state

import (
	"slices"
	"strings"

	"github.com/salveops/salve/proto/logpb"
)

// resume ends a pause by its ID, or every pause of a scope. "service:NAME" also lets remedies of the service
// begin again that failed on two hosts in a row, "service:NAME/RULE" those for one rule, "all" those of all.
func (s *State) resume(c *logpb.ResumeCommand) *logpb.Result {
	if c.GetBy() == "" {
		return refuse("who", "somebody has to say so")
	}
	var ends []*logpb.Pause
	for _, p := range s.Pauses() {
		if p.GetId() == c.GetPause() || p.GetScope() == c.GetPause() {
			ends = append(ends, p)
		}
	}
	if r := s.tooEarly(ends); r != nil {
		return r
	}
	for _, p := range ends {
		s.lift(p, c.GetBy())
	}
	forgiven := s.forgive(c)
	if len(ends) == 0 && !forgiven {
		return refuse("pause", "there is no pause %q, and nothing that failed too often there", clip(c.GetPause(), maxName))
	}
	return done()
}

// tooEarly refuses to lift the pause of a new generation while a known host has not said what it still does.
func (s *State) tooEarly(ends []*logpb.Pause) *logpb.Result {
	if !slices.ContainsFunc(ends, (*logpb.Pause).GetGeneration) {
		return nil
	}
	var silent []string
	for _, h := range s.Hosts() {
		if h.GetAwaited() && !h.GetRemoved() {
			silent = append(silent, s.name(h.GetId()))
		}
	}
	if len(silent) == 0 {
		return nil
	}
	return held("awaited", silent, "%d hosts have not said hello in this generation: %s; wait, or remove them",
		len(silent), clip(join(silent), maxName))
}

// lift ends a pause. A window's stays on record until its turn is over, so that it is not opened again.
func (s *State) lift(p *logpb.Pause, by string) {
	if p.GetWindow() != "" {
		p.Resumed = clip(by, maxName)
	} else {
		delete(s.pauses, p.GetId())
	}
	s.note(by, "resume", "%s: %s", p.GetId(), p.GetScope())
	s.bind()
}

// forgive lets remedies begin again that failed on two hosts in a row.
func (s *State) forgive(c *logpb.ResumeCommand) bool {
	scope, ok := strings.CutPrefix(c.GetPause(), scopeService)
	if !ok && c.GetPause() != scopeAll {
		return false
	}
	service, rule, _ := strings.Cut(scope, "/")
	forgiven := false
	for _, w := range s.Widths("") {
		mine := c.GetPause() == scopeAll || w.GetService() == service && (rule == "" || w.GetRule() == rule)
		if mine && len(w.GetFailed()) >= haltAfter {
			forgiven = true
			s.restart(w.GetService(), w.GetRule(), true)
		}
	}
	if forgiven {
		s.note(c.GetBy(), "resume", "%s: what failed on two hosts in a row may be tried again", c.GetPause())
	}
	return forgiven
}
