package rollback

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// candidates is what the choice of a release is made by.
type candidates struct {
	good []release.Good      // the newest first
	past []*incident.Attempt // also of other kinds
	now  clock.Stamp
	step *kind.Step
}

// choose is the release that last ran well, other than the one that runs, and that was not left since by a rollback. Its
// folder must still be what it was.
func choose(p *release.Place, from release.Release, c candidates) (release.Release, error) {
	left := map[release.Release]time.Duration{} // how long ago, at least
	for _, a := range c.past {
		if a.Kind != string(remedy.Rollback) || a.Target != c.step.Target || idle(a) {
			continue
		}
		if a.Incident != "" && a.Incident == c.step.Attempt.Incident {
			return release.Release{}, kind.Refuse("%s was rolled back in this incident already, which did not end it", a.Target)
		}
		r, ago := leftBy(a), a.Intended.Age(c.now)
		if last, ok := left[r]; !ok || ago < last {
			left[r] = ago
		}
	}
	self := slices.ContainsFunc(c.good, func(g release.Good) bool { return g.Release == from })
	if self && !c.step.ByPerson {
		return release.Release{}, kind.Needless("%s has run well itself: what is wrong now did not come with it", from.Name())
	}
	var why []string
	for _, g := range c.good {
		if g.Release == from {
			continue
		}
		if ago, ok := left[g.Release]; ok && ago <= g.At.Age(c.now) {
			why = append(why, g.Name()+" was left by a rollback and has not run well since")
			continue
		}
		now, err := p.Find(g.Folder)
		switch {
		case err != nil:
			why = append(why, err.Error())
		case now != g.Release:
			why = append(why, g.Name()+" is another folder than the one that ran well")
		default:
			return now, nil
		}
	}
	text := "no release is known to have run well before " + from.Name()
	if len(why) > 0 {
		text += fmt.Sprintf(" and could be gone back to: %s", strings.Join(why, "; "))
	}
	if self {
		return release.Release{}, kind.Needless("%s has run well itself, and %s", from.Name(), text)
	}
	return release.Release{}, kind.Refuse("%s", text)
}

// idle reports whether the attempt has changed nothing, as far as that is certain.
func idle(a *incident.Attempt) bool {
	return a.Phase == incident.Refused || a.Phase == incident.NotDone || len(a.Undo) == 0
}

// leftBy is the release that a rollback left; nothing if that is not recorded.
func leftBy(a *incident.Attempt) release.Release {
	var plan record
	_ = json.Unmarshal(a.Undo, &plan)
	return plan.From.Release
}
