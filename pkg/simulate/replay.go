package simulate

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/recording"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// Period is a span of time, by the wall clock.
type Period struct{ From, To time.Time }

// Replayed is what rules would have said of a recording.
type Replayed struct {
	Over      Period
	Seconds   int                  // that were recorded
	Rules     int                  // that took part
	Idle      []Idle               // rules that did not
	Incidents []*incident.Incident // that would have been, in the order in which they would have begun
	Real      map[string][]Period  // when incidents were open of what rules are about, by service; "" is the host
}

// Idle is a rule that takes no part.
type Idle struct {
	Rule  string
	Lacks []string // signals of which nothing was recorded; none: it is about services of which nothing was
}

// Replay tries the rules on a recording. Nothing is acted on, because nobody knows what a remedy would have changed:
// incidents say which one would have run. Spans are replayed in their order, whatever the clock said: where it was set
// back, time goes on. Nothing is known of a hole between them.
func Replay(all *config.Agent, spans []recording.Span) *Replayed {
	out := &Replayed{Real: make(map[string][]Period)}
	if len(spans) == 0 {
		return out
	}
	first := time.Unix(spans[0].At[0], 0).UTC()
	t := &config.Test{Start: first, Autonomy: config.Observe, Courses: lanes(spans)}
	h := newHost(all, t, nil)
	h.feeds = nil // signals come from the recording
	for _, u := range h.sorted {
		of := func(c config.Course) bool { return c.Key.Of == u.life.Name && vital(c.Key.Signal) }
		if !slices.ContainsFunc(t.Courses, of) {
			u.life.Active = "" // nothing is known of it
		}
	}
	out.Over.From, out.Rules = first, len(h.cfg.Rules)
	for _, r := range all.Rules {
		if !slices.Contains(h.cfg.Rules, r) {
			out.Idle = append(out.Idle, Idle{Rule: r.Name, Lacks: missing(h.given, r, nil)})
		}
	}
	for i := range spans {
		for n, at := range spans[i].At {
			h.pass(time.Unix(at, 0).UTC())
			h.second(&spans[i], n, out.Real)
			out.Seconds++
			if h.now.Wall.After(out.Over.To) {
				out.Over.To = h.now.Wall
			}
		}
		spans[i].Drop()
	}
	out.Incidents = h.told
	maps.DeleteFunc(out.Real, func(service string, _ []Period) bool { return !judged(all, service) })
	return out
}

// judged reports whether some rule is about the service; "" is the host.
func judged(all *config.Agent, service string) bool {
	s := all.Service(service)
	return slices.ContainsFunc(all.Rules, func(r *config.Rule) bool {
		return service == "" && len(r.Services) == 0 || s != nil && r.About(s)
	})
}

// hole is the longest time between two seconds of a recording in which things are taken to have stayed as they were.
const hole = 3 * time.Second

// pass lets time go on to the next second that was recorded. What was not recorded is unknown, so that a rule's "for"
// does not run through it.
func (h *host) pass(wall time.Time) {
	by := max(wall.Sub(h.now.Wall), step)
	if by > hole {
		h.now = h.now.Add(step)
		by -= step
		for _, s := range h.store.All() {
			s.Unknown(h.now.Boot)
		}
		for _, u := range h.sorted {
			u.move(h.now.Boot, "", "")
		}
		h.tell()
		h.rules.Tick(h.now, h.onAlert)
	}
	h.now = clock.Instant{Boot: h.now.Boot + by, Wall: wall}
}

// lanes are the signals of which something was known once, as a test would give them.
func lanes(spans []recording.Span) []config.Course {
	var out []config.Course
	seen := map[series.Key]bool{}
	for i := range spans {
		for n := range spans[i].Lanes {
			l := &spans[i].Lanes[n]
			if seen[l.Key] || !told(l, len(spans[i].At)) {
				continue
			}
			seen[l.Key] = true
			if p, err := signal.ParsePath(l.Key.Signal); err == nil {
				if _, known := signal.Lookup(p); known && p.Family != signal.SLO { // which is counted anew
					out = append(out, config.Course{Key: l.Key, Signal: p, Every: step})
				}
			}
		}
		spans[i].Drop()
	}
	return out
}

// told reports whether something is known of the lane in one of the seconds.
func told(l *recording.Lane, seconds int) bool {
	for i := range seconds {
		if v, _ := l.Value(i); !math.IsNaN(v) {
			return true
		}
	}
	return false
}

// second replays one second of a span.
func (h *host) second(s *recording.Span, n int, real map[string][]Period) {
	for i := range s.Lanes {
		l := &s.Lanes[i]
		v, told := l.Value(n)
		if !told {
			continue
		}
		if l.Key.Signal == recording.IncidentOpen {
			if v == 1 {
				extend(real, l.Key.Of, h.now.Wall)
			}
			continue
		}
		if u := h.units[l.Key.Of]; u != nil && vital(l.Key.Signal) {
			u.replay(h.now.Boot, l.Key.Signal, v, s.Words)
		} else if x := h.store.Lookup(l.Key); x != nil && fresh(x, h.now.Boot, v) {
			x.Set(h.now.Boot, v) // NaN is unknown
		}
	}
	h.tell()
	h.rules.Tick(h.now, h.onAlert)
	h.judgeDue()
}

// fresh reports whether the value of a second is a sample of its own. A recording repeats what is known each second, also
// of what is asked every minute: such a signal has a sample when its value changes, or when its period is over.
func fresh(x *series.Series, now time.Duration, v float64) bool {
	last, at, known := x.Last()
	changed := known == math.IsNaN(v) || known && last != v
	return changed || x.Event() || now-at >= x.Every()
}

// vital reports whether systemd tells the signal by itself.
func vital(name string) bool { return slices.Contains(care.VitalSignals[:], name) }

// extend lets the service's newest period last until now, or begins one.
func extend(real map[string][]Period, service string, now time.Time) {
	all := real[service]
	if n := len(all); n > 0 {
		if gap := now.Sub(all[n-1].To); gap >= 0 && gap <= time.Minute {
			all[n-1].To = now
			return
		}
	}
	real[service] = append(all, Period{now, now})
}

// replay takes what systemd told of a unit: all else follows from its state, its uptime and its restarts.
func (u *unit) replay(now time.Duration, name string, v float64, words []string) {
	switch {
	case name == unitState && (math.IsNaN(v) || v < 0 || int(v) >= len(words)):
		u.move(now, "", "")
	case name == unitState:
		u.move(now, words[int(v)], "person")
	case math.IsNaN(v):
	case name == unitRestarts:
		u.life.Restarts = uint32(max(0, min(v, math.MaxUint32)))
	case name == "unit.uptime" && u.life.Up():
		u.life.ActiveEnter = now - time.Duration(v*float64(time.Second))
	}
}

// Beside reports whether one of the periods overlaps p, or is no more than slack away from it.
func Beside(periods []Period, p Period, slack time.Duration) bool {
	return slices.ContainsFunc(periods, func(q Period) bool {
		return !q.From.After(p.To.Add(slack)) && !q.To.Before(p.From.Add(-slack))
	})
}
