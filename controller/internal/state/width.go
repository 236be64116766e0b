package state

import (
	"slices"

	"github.com/salveops/salve/proto/logpb"
)

// The width of a remedy for a rule is how many attempts of it may be open at once: one at first, twice as
// many after each host that serves again, and one again after a failure. After failures on two hosts in a
// row it is none, until a person resumes or the remedy changes (which is another digest).

// haltAfter is on how many hosts in a row a remedy may fail.
const haltAfter = 2

// narrow refuses a request that is more than the width lets through.
func (s *State) narrow(c *logpb.Request) *logpb.Result {
	w := s.widths[widthKey(c)]
	if len(w.GetFailed()) >= haltAfter {
		return held("halted", s.names(w.GetFailed()), "%s failed on %d hosts in a row; it runs nowhere until a person says "+
			"salve resume, or the remedy changes", c.GetRemedy(), len(w.GetFailed()))
	}
	width := max(1, int(w.GetWidth()))
	if open := s.derived.open[widthKey(c)]; open >= width {
		return later(refuse("width", "%d of %s may run at once until more of them have helped, and %d run", width,
			c.GetRemedy(), open), 1e9)
	}
	return nil
}

// widen: a host serves again.
func (s *State) widen(p *logpb.Permit) {
	if p.GetUndo() {
		return
	}
	s.passed(p)
	w := s.width(p)
	v := s.Service(p.GetService())
	w.Width, w.Failed = min(2*max(1, w.GetWidth()), uint32(max(1, v.Cap))), nil
}

// fail: an attempt did not help, or nobody can tell.
func (s *State) fail(p *logpb.Permit) {
	if p.GetUndo() {
		return
	}
	s.passed(p)
	w := s.width(p)
	w.Width = 1
	if len(w.GetFailed()) < haltAfter && !slices.Contains(w.GetFailed(), p.GetHost()) {
		w.Failed = append(w.GetFailed(), p.GetHost())
	}
	if len(w.GetFailed()) == haltAfter {
		s.noteSelf("halt", "%s for %s failed on %d hosts in a row", p.GetRemedy(), p.GetRule(), haltAfter)
	}
}

// width is the record of the permit's remedy and rule.
func (s *State) width(p *logpb.Permit) *logpb.Width {
	w := s.widths[widthKey(p)]
	if w == nil {
		w = &logpb.Width{Service: p.GetService(), Rule: p.GetRule(), Digest: p.GetDigest(), Remedy: p.GetRemedy(), Width: 1}
		s.widths[widthKey(p)] = w
	}
	w.Used = s.at
	return w
}

// restart begins with one attempt again wherever the rule is concerned; what failed before is forgiven
// only if forgive.
func (s *State) restart(service, rule string, forgive bool) {
	for k, w := range s.widths {
		if k.service == service && (rule == "" || k.rule == rule) {
			w.Width = 1
			if forgive {
				w.Failed = nil
			}
		}
	}
}

// Widths are the records of a service, "" means all; not to be changed.
func (s *State) Widths(service string) []*logpb.Width {
	return slices.DeleteFunc(sorted(s.widths, compareRemedies), func(w *logpb.Width) bool {
		return service != "" && w.GetService() != service
	})
}

func compareRemedies(a, b remedyKey) int {
	if c := compareRules(ruleKey{a.service, a.rule}, ruleKey{b.service, b.rule}); c != 0 {
		return c
	}
	return compare(a.digest, b.digest)
}

func compareRules(a, b ruleKey) int {
	if c := compare(a.service, b.service); c != 0 {
		return c
	}
	return compare(a.rule, b.rule)
}
