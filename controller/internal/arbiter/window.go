package arbiter

import (
	"fmt"
	"time"
	_ "time/tzdata" // a minimal system has no time zones of its own

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/proto/logpb"
)

// Waits before a window is opened again that was opened and is no pause: a person has ended its turn, which the
// state machine remembers, or it was refused.
const (
	reopenFirst = 10 * time.Second
	reopenMost  = 10 * time.Minute
)

// turns are the openings that this leader has proposed, by window and scope.
type turns map[turn]*try

type turn struct{ window, scope string }

// try is when an opening was proposed last (CLOCK_BOOTTIME), and how long the next one waits.
type try struct{ at, wait time.Duration }

// due are the pauses to make because a recurring window is open and not a pause yet. Windows go by the wall
// clock, for they are made for people; agents know them, too, and go by their own. The rest of the turn then
// passes in log time.
func (a *Arbiter) due(t turns) []*logpb.Command {
	var windows []*logpb.Window
	paused := map[turn]bool{}
	a.o.Replica.View(func(s *state.State) {
		windows = s.Config().GetWindows() // a configuration is replaced, never changed
		if len(windows) == 0 {
			return
		}
		for _, p := range s.Pauses() {
			paused[turn{p.GetWindow(), p.GetScope()}] = true
		}
	})
	now := a.o.Clock.Now()
	var out []*logpb.Command
	for _, w := range windows {
		left, open := left(w, now.Wall)
		for _, scope := range scopes(w) {
			key := turn{w.GetName(), scope}
			if !open {
				delete(t, key)
			} else if !paused[key] && t.again(key, now.Boot) {
				out = append(out, &logpb.Command{What: &logpb.Command_Pause{Pause: &logpb.PauseCommand{
					Scope: scope, By: "window " + w.GetName(), Reason: w.GetReason(), For: int64(left), Window: w.GetName(),
				}}})
			}
		}
	}
	return out
}

// again reports whether an opening is to be proposed now, and takes note of it.
func (t turns) again(key turn, now time.Duration) bool {
	last := t[key]
	switch {
	case last == nil:
		t[key] = &try{now, reopenFirst}
	case now-last.at < last.wait:
		return false
	default:
		last.at, last.wait = now, min(2*last.wait, reopenMost)
	}
	return true
}

// scopes are what a window pauses.
func scopes(w *logpb.Window) []string {
	if len(w.GetServices()) == 0 {
		return []string{"all"}
	}
	out := make([]string, len(w.GetServices()))
	for i, s := range w.GetServices() {
		out[i] = "service:" + s
	}
	return out
}

// left is how long a window stays open from a time of day on, and whether it is open.
func left(w *logpb.Window, wall time.Time) (time.Duration, bool) {
	c, err := schedule(w)
	if err != nil {
		return 0, false // proposable keeps such a thing out of the log
	}
	return c.Left(wall)
}

// schedule is the window as the configuration knows it.
func schedule(w *logpb.Window) (*config.Window, error) {
	zone, err := time.LoadLocation(w.GetZone()) // "" is UTC: the nodes' own zones may differ
	if err != nil {
		return nil, fmt.Errorf("window %s: %w", w.GetName(), err)
	}
	c := &config.Window{Name: w.GetName(), From: w.GetFrom(), To: w.GetTo(), Services: w.GetServices(), Zone: zone}
	for _, clock := range []string{c.From, c.To} {
		if _, err := time.Parse("15:04", clock); err != nil || len(clock) != len("15:04") {
			return nil, fmt.Errorf("window %s: %q is no time of day", w.GetName(), clock)
		}
	}
	for _, d := range w.GetDays() {
		if d > uint32(time.Saturday) {
			return nil, fmt.Errorf("window %s: there is no day %d", w.GetName(), d)
		}
		c.Days = append(c.Days, time.Weekday(d))
	}
	return c, nil
}
