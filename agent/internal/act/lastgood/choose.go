// Package lastgood is what the kinds of remedy have in common that let a service go back to what it last ran well with: which
// version that is, and how its units follow.
package lastgood

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
)

// Choice is what a version is chosen by.
type Choice struct {
	What string          // what it is a version of: "release"
	From release.Version // that is in place
	// Check says why one cannot come back to a version now; nil: one can.
	Check func(v release.Version) error
}

// Choose is the version that last ran well, other than the one in place, and that was not left since by a remedy of this kind on
// this target. It is once in an incident, and never away from one that ran well itself unless a person asks for that.
func Choose(h *kind.Host, s *kind.Step, c Choice) (release.Version, error) {
	past, err := h.Attempts(healing.PastAge)
	if err != nil {
		return release.Version{}, kind.Unknown("whether it went back before", err)
	}
	now := clock.Now(h.Clock)
	left := map[release.Version]time.Duration{} // how long ago, at least
	for _, a := range past {
		if a.Kind != string(s.Remedy.Kind) || a.Target != s.Target || idle(a) {
			continue
		}
		if a.Incident != "" && a.Incident == s.Attempt.Incident {
			return release.Version{}, kind.Refuse("%s was rolled back in this incident already, which did not end it", a.Target)
		}
		v, ago := leftBy(a), a.Intended.Age(now)
		if last, ok := left[v]; !ok || ago < last {
			left[v] = ago
		}
	}
	good := h.Good(s.Remedy.Service.Name, s.Remedy.Kind)
	self := slices.ContainsFunc(good, func(g release.Good) bool { return g.Version == c.From })
	if self && !s.ByPerson {
		return release.Version{}, kind.Needless("%s has run well itself: what is wrong now did not come with it", c.From.Name)
	}
	var why []string
	for _, g := range good {
		if g.Version == c.From {
			continue
		}
		if ago, ok := left[g.Version]; ok && ago <= g.At.Age(now) {
			why = append(why, g.Name+" was left by a rollback and has not run well since")
		} else if err := c.Check(g.Version); err != nil {
			why = append(why, err.Error())
		} else {
			return g.Version, nil
		}
	}
	text := fmt.Sprintf("no %s is known to have run well before %s", c.What, c.From.Name)
	if len(why) > 0 {
		text += " and could be gone back to: " + strings.Join(why, "; ")
	}
	if self {
		return release.Version{}, kind.Needless("%s has run well itself, and %s", c.From.Name, text)
	}
	return release.Version{}, kind.Refuse("%s", text)
}

// idle reports whether the attempt has changed nothing, as far as that is certain.
func idle(a *incident.Attempt) bool {
	return a.Phase == incident.Refused || a.Phase == incident.NotDone || len(a.Undo) == 0
}

// leftBy is the version that an attempt left; nothing if that is not recorded.
func leftBy(a *incident.Attempt) release.Version {
	var plan Record
	_ = json.Unmarshal(a.Undo, &plan)
	return plan.Left
}
