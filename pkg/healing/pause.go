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
)

// stopped finds the pause or window that holds for the alert's service or for the unit.
func stopped(now clock.Stamp, f *Facts, unit string) finding {
	for i := range f.Pauses {
		p := &f.Pauses[i]
		left, on := PauseLeft(p, now)
		if !on || !covers(p.Scope, f.Alert.Service, unit) {
			continue
		}
		return finding{Paused, Hold, left, fmt.Sprintf("%s is paused by %s%s%s", scopeText(p.Scope), p.By,
			until(left), because(p.Reason))}
	}
	for i := range f.Windows {
		w := &f.Windows[i]
		left, on := w.Left(now.Wall)
		if on && about(w, f.Alert.Service) {
			return finding{Paused, Hold, left, fmt.Sprintf("window %s is open%s%s", w.Name, until(left),
				because(w.Reason))}
		}
	}
	return finding{}
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
