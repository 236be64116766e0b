package arbiter

import (
	"fmt"
	"time"
	_ "time/tzdata" // a minimal system has no time zones of its own

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/proto/logpb"
)

// reopenAfter is how long the leader waits before it opens a window again whose opening was refused.
const reopenAfter = 10 * time.Second

// turns are the windows that this leader has opened, and when it tried last (CLOCK_BOOTTIME).
type turns map[string]time.Duration

// due are the pauses to make because a recurring window is open and not a pause yet. Windows go by the wall
// clock, for they are made for people; agents know them, too, and go by their own. The rest of the turn then
// passes in log time.
func (a *Arbiter) due(t turns) []*logpb.Command {
	var windows []*logpb.Window
	paused := map[string]bool{}
	a.o.Replica.View(func(s *state.State) {
		windows = s.Config().GetWindows() // a configuration is replaced, never changed
		if len(windows) == 0 {
			return
		}
		for _, p := range s.Pauses() {
			paused[p.GetWindow()] = true
		}
	})
	now := a.o.Clock.Now()
	var out []*logpb.Command
	for _, w := range windows {
		left, open := left(w, now.Wall)
		last, tried := t[w.GetName()]
		if !open || paused[w.GetName()] || tried && now.Boot-last < reopenAfter {
			continue
		}
		t[w.GetName()] = now.Boot
		out = append(out, &logpb.Command{What: &logpb.Command_Pause{Pause: &logpb.PauseCommand{
			Scope: "all", By: "window " + w.GetName(), Reason: w.GetReason(), For: int64(left), Window: w.GetName(),
		}}})
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
