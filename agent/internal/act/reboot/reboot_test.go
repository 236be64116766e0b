package reboot_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/reboot"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/pkg/remedy"
)

// TestReboots: the intent is on disk before logind is asked, which is once; nothing else begins meanwhile; and what became
// of it is the next process's to say, by the boot in which it finds itself.
func TestReboots(t *testing.T) {
	h := newHost(t)
	u := h.Up("a.service")
	q := ask()
	p := h.permitted(q)
	if !p.Disruptive || !p.Shared || !strings.Contains(p.Text, "reboot the host through logind, which ends boot ") ||
		!strings.Contains(strings.Join(p.Detail, "\n"), "a.service is away until the host is back") {
		t.Errorf("a dry run says %+v", p)
	}
	if h.calls() != 0 {
		t.Fatal("a dry run asked logind")
	}
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	h.set(func(l *answers) {
		l.called = func() {
			defer cancel() // as systemd does once the host goes down
			if a, err := h.Journal.Attempt(q.Attempt.ID); err != nil || a.Phase != incident.Intended || a.Permit == nil {
				t.Errorf("when logind is asked, on disk is %+v, %v", a, err)
			}
			_, err := h.Runner.Run(t.Context(), plan(t, h, acttest.Ask(remedy.Restart, "a.service")))
			if err == nil || !strings.Contains(err.Error(), "another remedy is at work on ") {
				t.Errorf("beside it a restart is refused because %v", err)
			}
		}
	})
	a, err := h.Runner.Run(stop, p)
	if err != nil || a.Phase != incident.Intended {
		t.Fatalf("it is %s, %v", a.Phase, err)
	}
	if _, err := h.Runner.Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "another remedy is at work on host") {
		t.Errorf("the same attempt once more: %v", err)
	}
	h.Refused(ask(), "the-reboot on host is not over", true)
	if h.logind.asked[0] != 1 || h.calls() != 1 {
		t.Errorf("logind was asked with %v; want once, so that root's word does not break a lock", h.logind.asked)
	}
	if now, _ := h.Watcher.Unit("a.service"); now.InvocationID != u.InvocationID {
		t.Error("the unit was touched")
	}
	h.settles(a)
}

func plan(t *testing.T, h *host, q kind.Request) act.Plan {
	p, err := h.Runner.Prepare(t.Context(), q)
	if err != nil {
		t.Error(err)
	}
	return p
}

// settles plays each way in which the next process may find the host.
func (h *host) settles(a incident.Attempt) {
	id, began := `"id":"`+acttest.Clock(h.T).BootID()+`"`, `"began":1`
	for name, c := range map[string]struct {
		before string
		going  bool
		mute   bool
		phase  incident.Phase
		says   string
		failed bool
	}{
		"another boot":                {`{"id":"another",` + began + `}`, false, false, incident.Acted, "the host was rebooted: boot another is over", false},
		"a container's":               {`{` + id + `,` + began + `}`, false, false, incident.Acted, "the host was rebooted", false},
		"the same boot":               {string(a.Before), false, false, incident.Acted, "was not rebooted: it is still boot", true},
		"the same, on its way down":   {string(a.Before), true, false, incident.Unknown, "cannot be told", false},
		"no evidence":                 {`{}`, false, false, incident.Unknown, "no evidence", false},
		"evidence of something else":  {`[1]`, false, false, incident.Unknown, "no evidence", false},
		"the same, and logind is not": {string(a.Before), false, true, incident.Unknown, "cannot be told", false},
	} {
		ctx, cancel := context.WithCancel(h.T.Context())
		h.set(func(l *answers) {
			if l.going = c.going; c.going {
				l.looked = cancel
			}
		})
		if c.mute {
			_, _ = h.conn.ReleaseName(login1)
			ctx, cancel = context.WithTimeout(ctx, term)
		}
		left := a
		left.Before = []byte(c.before)
		phase, why := reboot.New(h.options()).Settle(ctx, &left)
		cancel()
		h.set(func(l *answers) { l.looked = nil })
		if phase != c.phase || !strings.Contains(why, c.says) || (left.Error != "") != c.failed {
			h.T.Errorf("%s: %s because %q, error %q", name, phase, why, left.Error)
		}
		if c.mute {
			if _, err := h.conn.RequestName(login1, dbus.NameFlagDoNotQueue); err != nil {
				h.T.Fatal(err)
			}
		}
	}
	// The runner asks it of what is on disk, and never asks logind again.
	h.set(func(l *answers) { l.going = false })
	settled := h.runner(act.Options{}).Settle(h.T.Context())
	if len(settled) != 1 || settled[0].Phase != incident.Acted || settled[0].Error == "" || h.calls() != 1 {
		h.T.Errorf("settled as %+v after %d calls", settled, h.calls())
	}
	done := settled[0]
	done.Phase, done.Outcome = incident.Judged, incident.Ineffective
	h.past(done)
	h.Refused(ask(), "reboot ran 1 times on this host in the last 24h0m0s; limit 1", false)
	if _, err := h.Runner.Prepare(h.T.Context(), ask(&remedy.RebootArgs{PerDay: 2})); err != nil {
		h.T.Errorf("the second of two: %v", err)
	}
}

// TestWithoutLeave: nothing gets past the permit, whoever asks.
func TestWithoutLeave(t *testing.T) {
	h := newHost(t)
	free := h.permitted(ask())
	for name, change := range map[string]func(p *act.Plan){
		"no permit": func(p *act.Plan) { p.Permit = nil },
		"alone":     func(p *act.Plan) { p.Permit = &permit.Held{Alone: true} },
		"no gate":   func(p *act.Plan) { p.Gate = nil },
	} {
		p := free
		change(&p)
		if _, err := h.Runner.Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "runs with a controller's permit only") {
			t.Errorf("%s: %v", name, err)
		}
	}
	late := free
	late.Gate = func() error { return errors.New("the permit was for an attempt that begins sooner") }
	if _, err := h.Runner.Run(t.Context(), late); err == nil || !strings.Contains(err.Error(), "begins sooner") {
		t.Errorf("a permit whose time is up: %v", err)
	}
	o := h.options()
	o.Reboots = false
	byPerson := ask()
	byPerson.ByPerson = true
	s := &kind.Step{Request: byPerson, Target: remedy.ThisHost}
	if err := reboot.New(o).Precheck(t.Context(), s); err == nil || !strings.Contains(err.Error(), "needs the permit of a controller") {
		t.Errorf("without a controller: %v", err)
	}
	for name, blocks := range map[string][]config.Allow{
		"not the host":   {{Units: []string{"*"}, Actions: []string{"reboot"}}},
		"not to reboot":  {{Host: true, Actions: []string{"restart"}}},
		"host and other": {{Host: true, Actions: []string{"start"}}, {Units: []string{"host"}, Actions: []string{"reboot"}}},
	} {
		if _, err := h.runner(act.Options{Allow: blocks}).Prepare(t.Context(), ask()); err == nil ||
			!strings.Contains(err.Error(), "no allow block of this host permits reboot on host") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if h.calls() != 0 {
		t.Errorf("logind was asked %d times", h.calls())
	}
}

// TestStandsInTheWay: each reason by itself keeps the host up, and what cannot be known is one.
func TestStandsInTheWay(t *testing.T) {
	h := newHost(t)
	h.Up("a.service")
	now := clock.Now(acttest.Clock(t))
	args := &remedy.RebootArgs{PerDay: 1}
	lock := func(what, mode string) func() {
		return func() {
			h.set(func(l *answers) { l.inhibitors = []inhibitor{{what, "backup", "it writes", mode, 0, 77}} })
		}
	}
	for _, c := range []struct {
		name string
		set  func()
		says string // "": nothing stands in the way
		soon bool
	}{
		{"nothing", func() {}, "", false},
		{"a lock", lock("shutdown", "block"), "backup (it writes, process 77) must not be interrupted", true},
		{"a lock of several", lock("sleep:shutdown:idle", "block"), "must not be interrupted", true},
		{"a lock of a kind to come", lock("shutdown", "block-weak"), "must not be interrupted", true},
		{"a lock that delays", lock("shutdown", "delay"), "", false},
		{"a lock of something else", lock("sleep:handle-lid-switch", "block"), "", false},
		{"a person", func() { h.set(func(l *answers) { l.sessions = map[string]string{"1": "user"} }) }, "ann is logged in (session 1)", true},
		{"no person", func() {
			h.set(func(l *answers) { l.sessions = map[string]string{"1": "background", "2": "manager"} })
		}, "", false},
		{"no leave", func() { h.set(func(l *answers) { l.can = "challenge" }) }, `logind would not let the agent reboot this host (it says "challenge")`, false},
		{"a package", func() { h.lock = "/var/lib/dpkg/lock" }, "a package transaction runs: /var/lib/dpkg/lock is locked", true},
		{"packages unknown", func() { h.lockErr = errors.New("unreadable") }, "whether a package transaction runs cannot be known", true},
		{"a young boot", func() { args.MinUptime = 100 * 365 * 24 * time.Hour }, "left alone", true},
		{"an attempt", func() {
			h.past(incident.Attempt{ID: "x", Remedy: "restart-app", Target: "a.service", Phase: incident.Acted, Intended: now})
		}, "restart-app on a.service is not over", true},
		{"an attempt that is over", func() {
			h.past(incident.Attempt{ID: "x", Kind: "restart", Phase: incident.Judged, Intended: now})
		}, "", false},
		{"a reboot today", func() {
			h.past(incident.Attempt{ID: "x", Kind: "reboot", Phase: incident.Judged, Intended: now})
		}, "reboot ran 1 times", false},
		{"a reboot in doubt", func() {
			h.past(incident.Attempt{ID: "x", Kind: "reboot", Phase: incident.Unknown, Intended: now})
		}, "reboot ran 1 times", false},
		{"a reboot in time to come, after the clock was set back", func() {
			h.past(incident.Attempt{ID: "x", Kind: "reboot", Phase: incident.Judged,
				Intended: clock.Stamp{BootID: "another", Boot: 1, Wall: now.Wall.Add(48 * time.Hour)}})
		}, "reboot ran 1 times", false},
		{"a reboot of yesterday", func() {
			h.past(incident.Attempt{ID: "x", Kind: "reboot", Phase: incident.Judged,
				Intended: clock.Stamp{BootID: "another", Boot: 1, Wall: now.Wall.Add(-25 * time.Hour)}})
		}, "", false},
		{"a reboot that did not begin", func() {
			h.past(incident.Attempt{ID: "x", Kind: "reboot", Phase: incident.Refused, Intended: now})
		}, "", false},
		{"no logind", func() { _, _ = h.conn.ReleaseName(login1) }, "whether something must not be interrupted cannot be known", true},
		{"no bus", func() { t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent") }, "cannot be known", true},
	} {
		*args, h.lock, h.lockErr = remedy.RebootArgs{PerDay: 1}, "", nil
		h.fresh()
		h.set(func(l *answers) { *l = answers{can: "yes"} })
		c.set()
		if c.says != "" {
			h.Refused(ask(args), c.says, c.soon)
			continue
		}
		if p, err := h.Runner.Prepare(t.Context(), ask(args)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if c.name == "a lock that delays" && !strings.Contains(fmt.Sprint(p.Detail), "backup (it writes, process 77) is told before") {
			t.Errorf("a dry run does not say who is told: %q", p.Detail)
		}
	}
	if h.calls() != 0 {
		t.Errorf("logind was asked %d times", h.calls())
	}
}

// TestTurnedBackOn has the name of what happened elsewhere: what a person stopped was on again. A boot would start it.
func TestTurnedBackOn(t *testing.T) {
	h := newHost(t)
	h.Up("a.service")
	h.Do("stop", "a.service")
	h.Becomes("a.service", "stopped by a person", func(u systemd.Unit) bool { return u.Down() && u.Stopped == systemd.Person })
	if _, err := h.Runner.Prepare(t.Context(), ask()); err != nil {
		t.Errorf("no boot starts it, and yet: %v", err)
	}
	wants := filepath.Join(h.Units, "base.target.wants")
	if err := os.Mkdir(wants, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../a.service", filepath.Join(wants, "a.service")); err != nil {
		t.Fatal(err)
	}
	h.Do("daemon-reload")
	h.Refused(ask(), "a.service was stopped by a person, and a boot would start it again", false)
	h.Up("a.service")
	if _, err := h.Runner.Prepare(t.Context(), ask()); err != nil {
		t.Errorf("it runs again, and yet: %v", err)
	}
}

// TestLogindSays: what logind makes of being asked, and what of that is known.
func TestLogindSays(t *testing.T) {
	h := newHost(t)
	for name, c := range map[string]struct {
		set      func(*answers)
		patience time.Duration
		says     string
		lost     bool
	}{
		"no":                        {func(l *answers) { l.no = "org.freedesktop.DBus.Error.AccessDenied" }, time.Minute, "logind refuses to reboot the host", false},
		"no, it is at work":         {func(l *answers) { l.no = login1 + ".OperationInProgress" }, time.Minute, "logind refuses", false},
		"yes, and does nothing":     {func(l *answers) { l.idle = true }, term, "logind agreed, but the host does not go down", false},
		"nothing":                   {func(l *answers) { l.mute = true }, term, "", true},
		"nothing, and it goes":      {func(l *answers) { l.called = func() { _ = h.conn.Close() } }, term, "", true},
		"nothing, and the bus says": {func(l *answers) { l.no = "org.freedesktop.DBus.Error.NoReply" }, term, "", true},
	} {
		if !h.conn.Connected() {
			h.conn = h.logind.serve(t, os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"))
		}
		h.set(func(l *answers) { *l = answers{can: "yes"}; c.set(l) })
		k := reboot.New(h.options()).Patient(c.patience)
		s, _ := acttest.Stage(t, k, ask())
		ctx, cancel := context.WithTimeout(t.Context(), 3*term) // of one that has gone nothing is known for ever
		err := k.Act(ctx, s)
		cancel()
		if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, kind.ErrLost) != c.lost || errors.Is(err, kind.ErrUnderWay) {
			t.Errorf("%s: %v", name, err)
		}
		if n := h.calls(); n != 1 {
			t.Errorf("%s: logind was asked %d times", name, n)
		}
	}
}

// An agent that stops asks nothing more. A host that goes down and does not come to its end is in doubt when the time is up.
func TestNeverEnds(t *testing.T) {
	h := newHost(t)
	s, _ := acttest.Stage(t, reboot.New(h.options()), ask())
	k := reboot.New(h.options()).Patient(term / 10)
	halt := make(chan struct{})
	close(halt)
	late := *s
	late.Halt = halt
	if err := k.Act(t.Context(), &late); err == nil || !strings.Contains(err.Error(), "nothing was done") || h.calls() != 0 {
		t.Errorf("when the agent stops: %v after %d calls", err, h.calls())
	}
	ctx, cancel := context.WithTimeout(t.Context(), term)
	defer cancel()
	began := time.Now()
	if err := k.Act(ctx, s); !errors.Is(err, kind.ErrLost) || time.Since(began) < term {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}
