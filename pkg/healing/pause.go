package healing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// stopped finds the pause or window that holds for the service or for the unit; whole: for anything of the host.
func stopped(now clock.Stamp, f *Facts, service, unit string, whole bool) finding {
	for i := range f.Pauses {
		p := &f.Pauses[i]
		left, on := PauseLeft(p, now)
		if !on || !whole && !covers(p.Scope, service, unit) {
			continue
		}
		return finding{Paused, Hold, left, fmt.Sprintf("%s is paused by %s%s%s", scopeText(p.Scope), p.By,
			until(left), because(p.Reason))}
	}
	for i := range f.Windows {
		w := &f.Windows[i]
		left, on := w.Left(now.Wall)
		if on && (whole || about(w, service)) {
			return finding{Paused, Hold, left, fmt.Sprintf("window %s is open%s%s", w.Name, until(left),
				because(w.Reason))}
		}
	}
	return finding{}
}

// besidePaused finds the pause or window that holds for a unit that a remedy may change, or for the service of one.
func besidePaused(now clock.Stamp, f *Facts, locks []remedy.Lock, services []string) finding {
	for _, lock := range locks {
		if found := stopped(now, f, f.Alert.Service, lock.Unit(), false); found.objects() {
			return found
		}
	}
	for _, service := range services {
		if found := stopped(now, f, service, "", false); found.objects() {
			return found
		}
	}
	return finding{}
}

// Halted is why an attempt that is at work must begin no further part: people have paused something of it meanwhile, a
// window has opened, or somebody has the incident who did not let it go on. "": it may. Of f it needs Incident, Pauses,
// Windows and the service of Alert; services are as those of a Candidate.
func Halted(now clock.Stamp, f *Facts, a *incident.Attempt, services []string) string {
	if found := stopped(now, f, f.Alert.Service, "", false); found.objects() {
		return found.reason
	}
	if found := besidePaused(now, f, a.Locks, services); found.objects() {
		return found.reason
	}
	if a.By == incident.ByRule {
		return acknowledged(now, f).reason
	}
	return ""
}

// PauseLeft reports whether the pause still holds, and for how long; 0 means until a person resumes.
// Within one boot the monotonic clock says it.
func PauseLeft(p *incident.Pause, now clock.Stamp) (time.Duration, bool) {
	if p.For == 0 {
		return 0, true
	}
	left := p.For - p.From.Age(now)
	return left, left > 0
}

func covers(scope, service, unit string) bool {
	kind, name, _ := strings.Cut(scope, ":")
	switch kind {
	case "all":
		return true
	case "service":
		return name == service && service != ""
	case "unit":
		return glob.Match(name, unit) || glob.Is(unit) && glob.Overlap(name, unit) // the controller's may be a glob
	}
	return false
}

func scopeText(scope string) string {
	if kind, name, ok := strings.Cut(scope, ":"); ok {
		return kind + " " + name
	}
	return "everything"
}

func until(left time.Duration) string {
	if left == 0 {
		return " until resumed"
	}
	return " for " + span(left) + " more"
}

func about(w *config.Window, service string) bool {
	if len(w.Services) == 0 {
		return true
	}
	return slices.ContainsFunc(w.Services, func(pattern string) bool { return glob.Match(pattern, service) })
}
