package heal

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/agentpb"
)

// TestAnyHistory lets anything happen in any order. The witness in hands checks each act: intent on disk,
// one at a time on a target, never twice, not while paused, not on what a person stopped.
func TestAnyHistory(t *testing.T) { anyHistory(t, two+worse, here) }

// TestAnyHistoryWithAController is the same beside a controller of which anything may be heard, or nothing. Its
// witness also looks at permits: whoever acts on what serves is counted, and in the end nobody is.
func TestAnyHistoryWithAController(t *testing.T) {
	anyHistory(t, controlled(two+worse), append(slices.Clone(here), there...))
}

// TestAnyHistoryOfWhatIsShared is that with a remedy whose target hosts share: never without a permit by its name.
func TestAnyHistoryOfWhatIsShared(t *testing.T) {
	anyHistory(t, shares(controlled(two)), append(slices.Clone(here), there...))
}

// What may happen on this host, and on the way to the controller.
var (
	here = []string{
		"fail", "recover", "hang", "unhang", "silence", "pause", "resume", "kill", "stop agent", "person stops",
		"broken", "sound", "dies soon", "disk full", "disk free", "bus gone", "bus back", "wall", "advance", "advance",
		"wait",
	}
	there = []string{
		"hang", "unhang", "line down", "line up", "cut", "refuse", "grant", "hold", "answer", "mute", "speak", "revoke", "force",
		"pause there", "resume there", "backup", "restore", "sole", "not sole", "breaker", "no breaker", "short permits",
	}
)

func anyHistory(t *testing.T, conf string, what []string) {
	rapid.Check(t, func(rt *rapid.T) {
		events := rapid.SliceOfN(rapid.SampledFrom(what), 1, 30).Draw(rt, "events")
		waits := rapid.SliceOfN(rapid.IntRange(1, 90), len(events), len(events)).Draw(rt, "seconds")
		var failed []string
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{TB: t}
			defer func() { failed = r.failed }()
			h := newRig(r, conf)
			defer h.end()
			h.Tells(health, 1)
			for i, ev := range events {
				h.happens(ev, waits[i])
				h.wantBudgets()
			}
			h.calms()
			h.wantSettled("at the end")
			for _, a := range h.disk.attempts() {
				if a.Open() {
					r.Errorf("attempt %s is left %s", a.ID, a.Phase)
				}
			}
			if s := h.lastState(); s != "" && s != incident.Resolved && s != incident.Escalated {
				r.Errorf("at the end the incident is %s", s)
			}
			if len(r.failed) > 0 {
				r.failed = append(r.failed, h.Story())
			}
		})
		if len(failed) > 0 {
			rt.Fatalf("%q %v\n%s", events, waits, strings.Join(failed, "\n"))
		}
	})
}

// recorder keeps failures for the search for a shorter history.
type recorder struct {
	testing.TB
	failed []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (h *rig) happens(ev string, seconds int) {
	switch ev {
	case "fail":
		h.Fails(unit)
	case "recover":
		h.up(unit)
	case "hang":
		h.Tells(health, 0)
	case "unhang":
		h.Tells(health, 1)
	case "silence":
		h.Silent(health)
	case "pause":
		h.disk.fill(false)
		h.Pauses("all", 0)
	case "resume":
		h.resumesAll()
	case "kill":
		h.Restarts()
	case "stop agent":
		h.Stop()
		h.Start()
	case "person stops":
		h.stoppedByPerson()
	case "broken":
		h.Trait(unit, trait{broken: true})
	case "sound":
		h.Trait(unit, trait{cures: func() { h.Tells(health, 1) }})
	case "dies soon":
		h.Trait(unit, trait{dies: 3 * time.Second})
	case "disk full":
		h.disk.fill(true)
	case "disk free":
		h.disk.fill(false)
	case "bus gone":
		h.say(systemd.Disconnected, "")
	case "bus back":
		h.say(systemd.Connected, "running")
	case "wall":
		h.clock.wrong.Store(int64(time.Duration(seconds-45) * time.Hour))
	case "wait":
		h.Advance(time.Duration(seconds) * 10 * time.Second)
	default:
		h.hears(ev)
	}
	h.Advance(time.Duration(seconds) * time.Second)
}

// hears is what happens at the controller, or on the way to it.
func (h *rig) hears(ev string) {
	n := h.node
	switch ev {
	case "line down":
		n.Down(true)
	case "line up":
		n.Down(false)
	case "cut":
		n.Cut()
	case "refuse":
		n.Refuse("cap", "another host is under repair", 1e9)
	case "grant":
		n.Refuse("", "", 0)
	case "hold", "answer":
		n.Hold(ev == "hold")
	case "mute", "speak":
		n.Mute(ev == "mute")
	case "revoke":
		n.Revoke("eve")
	case "force":
		h.forced = true
		n.Force()
	case "pause there":
		n.Pause("all", "eve", 0)
	case "resume there":
		n.Resume("")
	case "backup":
		h.backup = n.Backup()
	case "restore":
		if h.backup != nil {
			h.restored++
			h.backup(fmt.Sprintf("g%d", 1+h.restored))
		}
	case "sole", "not sole":
		n.Order("checkout", func(o *agentpb.ServiceOrder) { o.Sole = ev == "sole" })
	case "breaker", "no breaker":
		n.Breaker("checkout", "ill", ev == "breaker")
	case "short permits":
		n.RunFor(int64(5 * time.Second))
	}
}

func (h *rig) resumesAll() {
	h.disk.fill(false)
	if list, err := h.p.Engine.Pauses(h.ctx()); err == nil && len(list) > 0 {
		h.Resumes()
	}
}

// wantBudgets: never more than three attempts an hour of one remedy on one instance.
func (h *rig) wantBudgets() {
	h.t.Helper()
	now := h.stampNow()
	tries := map[string]int{}
	for _, a := range h.disk.attempts() {
		if a.Intended.Age(now) < time.Hour && a.Phase != incident.NotDone {
			tries[a.Remedy]++
		}
	}
	for name, n := range tries {
		if n > 3 {
			h.t.Errorf("%s ran %d times in an hour", name, n)
		}
	}
}

// calms lets the storm end, and the agent finish what it does.
func (h *rig) calms() {
	h.disk.fill(false)
	h.say(systemd.Connected, "running")
	h.resumesAll()
	if h.node != nil {
		for _, ev := range []string{"line up", "grant", "answer", "speak", "resume there", "no breaker"} {
			h.hears(ev)
		}
		h.Tells(health, 1)
		h.Trait(unit, trait{})
		h.up(unit) // what nobody can tell about counts until the host serves
	}
	h.Advance(20 * time.Minute)
}

// lastState is the state of the newest incident, "" if there is none.
func (h *rig) lastState() incident.State {
	if len(h.disk.order) == 0 {
		return ""
	}
	return h.Last("checkout").State
}
