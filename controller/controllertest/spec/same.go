package spec

import (
	"fmt"
	"strings"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// Same reports the first difference between the table and a controller's state. What is in one and not in
// the other has changed without a command that may change it: so nothing frees a permit in passing.
func (t *Table) Same(s *state.State) error {
	if s.Generation() != t.Generation {
		return fmt.Errorf("the generation is %s, want %s", s.Generation(), t.Generation)
	}
	for _, differ := range []func(*state.State) error{t.samePermits, t.sameHosts, t.samePauses, t.sameWidths} {
		if err := differ(s); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) samePermits(s *state.State) error {
	open := s.Permits()
	for _, p := range open {
		want := t.Permits[tokenOf(p.GetToken())]
		if want == nil {
			return fmt.Errorf("permit %v is open, and should not be", p.GetToken())
		}
		got := *permitOf(p)
		if fmt.Sprint(got) != fmt.Sprint(*want) {
			return fmt.Errorf("permit %v is %+v, want %+v", p.GetToken(), got, *want)
		}
	}
	if len(open) != len(t.Permits) {
		return fmt.Errorf("%d permits are open, want %d: one was freed by what frees nothing", len(open), len(t.Permits))
	}
	return nil
}

func (t *Table) sameHosts(s *state.State) error {
	hosts := s.Hosts()
	for _, h := range hosts {
		want := t.Hosts[h.GetId()]
		if want == nil {
			return fmt.Errorf("host %s is known, and should not be", h.GetId())
		}
		if h.GetRemoved() && want.Removed {
			continue // nothing of it is looked at any more
		}
		got := *hostOf(h)
		if fmt.Sprint(got) != fmt.Sprint(*want) {
			return fmt.Errorf("host %s is %+v, want %+v", h.GetId(), got, *want)
		}
	}
	if len(hosts) != len(t.Hosts) {
		return fmt.Errorf("%d hosts are known, want %d", len(hosts), len(t.Hosts))
	}
	return nil
}

// samePauses also learns the ID of a generation's own pause, which no answer tells.
func (t *Table) samePauses(s *state.State) error {
	pauses := s.Pauses()
	for _, p := range pauses {
		if own, ok := t.Pauses[generationPause]; ok && p.GetGeneration() {
			delete(t.Pauses, generationPause)
			t.Pauses[p.GetId()] = own
		}
	}
	for _, p := range pauses {
		if want, ok := t.Pauses[p.GetId()]; !ok || want.Scope != p.GetScope() || want.Until != p.GetUntil() ||
			want.Generation != p.GetGeneration() {
			return fmt.Errorf("the pause is %v, want %+v", p, want)
		}
	}
	if len(pauses) != len(t.Pauses) {
		return fmt.Errorf("%d pauses hold, want %d", len(pauses), len(t.Pauses))
	}
	return nil
}

func (t *Table) sameWidths(s *state.State) error {
	seen := map[Remedy]bool{}
	for _, w := range s.Widths("") {
		k := Remedy{w.GetService(), w.GetRule(), string(w.GetDigest())}
		seen[k] = true
		want := t.Widths[k]
		if w.GetWidth() != max(1, want.Width) || strings.Join(w.GetFailed(), " ") != want.Failed {
			return fmt.Errorf("the width of %+v is %v, want %+v", k, w, want)
		}
	}
	for k, w := range t.Widths {
		switch {
		case seen[k]:
		case t.at-w.Used > keepWidth:
			delete(t.Widths, k)
		case w.Width > 1 || w.Failed != "":
			return fmt.Errorf("the width of %+v is forgotten, it was %+v", k, w)
		}
	}
	return nil
}

// keepWidth is for how long a width that nobody uses is remembered at least, in log time.
const keepWidth = 30 * 24 * 3600e9

// Mark takes over how far a host's events are in the log: they are no matter of permits, but a hello
// compares them.
func (t *Table) Mark(h *logpb.Host) {
	if x := t.Hosts[h.GetId()]; x != nil {
		x.Mark = h.GetMark()
	}
}
