package healing

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
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
		left, on := WindowLeft(w, now.Wall)
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
		return name == unit && unit != ""
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
	return slices.ContainsFunc(w.Services, func(glob string) bool {
		ok, err := path.Match(glob, service)
		return err == nil && ok && service != ""
	})
}

// WindowLeft reports whether the window is open at wall, and for how long. It is a matter of the
// time of day, so the wall clock decides. A window that spans midnight belongs to the day on which
// it begins; From equal to To is the whole day.
func WindowLeft(w *config.Window, wall time.Time) (time.Duration, bool) {
	if w.Zone != nil {
		wall = wall.In(w.Zone)
	}
	from, okFrom := minutes(w.From)
	to, okTo := minutes(w.To)
	if !okFrom || !okTo {
		return 0, false
	}
	if to <= from {
		to += 24 * 60
	}
	for _, ago := range []int{0, 1} {
		day := wall.AddDate(0, 0, -ago)
		begin, end := clockAt(day, from), clockAt(day, to)
		if onDay(w, day.Weekday()) && !wall.Before(begin) && wall.Before(end) {
			return end.Sub(wall), true
		}
	}
	return 0, false
}

func onDay(w *config.Window, day time.Weekday) bool {
	return len(w.Days) == 0 || slices.Contains(w.Days, day)
}

// clockAt is so many minutes of the wall clock after midnight of day, also when clocks change.
func clockAt(day time.Time, minute int) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day(), 0, minute, 0, 0, day.Location())
}

func minutes(hhmm string) (int, bool) {
	t, err := time.Parse("15:04", hhmm)
	return t.Hour()*60 + t.Minute(), err == nil
}
