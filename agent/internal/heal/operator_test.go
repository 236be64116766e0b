package heal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
)

// What people ask of the agent.

func TestRunByHand(t *testing.T) {
	heals(t, one, func(h *rig) {
		var said []string
		done := make(chan local.RunResult)
		go func() {
			req := local.RunRequest{Remedy: "checkout/restart", By: "eve"}
			res, err := h.p.RunByHand(h.ctx(), req, func(ev local.Event) error {
				said = append(said, string(ev.Type))
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			done <- res
		}()
		h.Advance(time.Minute)
		res := <-done
		if res.Verdict != string(incident.Verified) || res.Attempt == "" || !slices.Contains(said, "verify") {
			t.Errorf("%+v, heard %q", res, said)
		}
		h.WantActs("restart " + unit)
		h.WantState("checkout", incident.Resolved)
		if a := h.Last("checkout").Runs[0]; a.By != "eve" {
			t.Errorf("ran by %q", a.By)
		}
	})
}

// A person may start what a person stopped, and does not wait for budgets.
func TestRunByHandOnWhatAPersonStopped(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.stoppedByPerson()
		h.asks("restart")
		h.Advance(time.Minute)
		h.WantActs("restart " + unit)
		h.WantState("checkout", incident.Resolved)
	})
}

func TestRunIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		on   func(*rig)
		req  local.RunRequest
		says string
	}{
		{"paused", func(h *rig) { h.Pauses("all", 0) }, local.RunRequest{Remedy: "restart"}, "everything is paused"},
		{"masked", func(h *rig) { h.change(unit, func(u *systemd.Unit) { u.Load = "masked" }) },
			local.RunRequest{Remedy: "restart"}, "masked"},
		{"dry", func(h *rig) { h.Pauses("unit:"+unit, time.Hour) }, local.RunRequest{Remedy: "restart", DryRun: true},
			"is paused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			heals(t, one, func(h *rig) {
				c.on(h)
				res, err := h.p.RunByHand(h.ctx(), c.req, nothing)
				if err != nil || res.Verdict != "refused" || !strings.Contains(res.Reason, c.says) {
					t.Errorf("%+v, %v", res, err)
				}
				h.WantActs()
				h.WantState("checkout", "")
			})
		})
	}
}

func TestDryRunDoesNothing(t *testing.T) {
	heals(t, one, func(h *rig) {
		res, err := h.p.RunByHand(h.ctx(), local.RunRequest{Remedy: "restart", DryRun: true}, nothing)
		if err != nil || res.Verdict != "would_run" || !strings.HasPrefix(res.Reason, "restart "+unit) {
			t.Errorf("%+v, %v", res, err)
		}
		h.WantActs()
		h.WantState("checkout", "")
	})
}

func TestRunOfWhatDoesNotExist(t *testing.T) {
	heals(t, fleet, func(h *rig) {
		for _, c := range []struct {
			req  local.RunRequest
			want error
		}{
			{local.RunRequest{Remedy: "reboot"}, local.ErrNotFound},
			{local.RunRequest{Remedy: "worker/reboot"}, local.ErrNotFound},
			{local.RunRequest{Remedy: "restart"}, local.ErrInvalid},
			{local.RunRequest{Remedy: "restart", Instance: "sshd.service"}, local.ErrNotFound},
		} {
			if _, err := h.p.RunByHand(h.ctx(), c.req, nothing); !errors.Is(err, c.want) {
				t.Errorf("%+v: %v, want %v", c.req, err, c.want)
			}
		}
	})
}

// A follower must not wait for ever when the agent stops.
func TestFollowersEndWithTheAgent(t *testing.T) {
	heals(t, one, func(h *rig) {
		ended := make(chan error, 2)
		p := h.p
		go func() {
			_, err := p.RunByHand(h.ctx(), local.RunRequest{Remedy: "restart", By: "eve"}, nothing)
			ended <- err
		}()
		go func() { ended <- p.Watch(h.ctx(), 0, nothing) }()
		h.Advance(time.Second)
		h.Stop()
		for range 2 {
			if err := <-ended; !errors.Is(err, ErrStopped) {
				t.Errorf("ended with %v", err)
			}
		}
		h.Start()
		h.Advance(time.Minute)
		h.WantActs("restart " + unit)
		h.WantState("checkout", incident.Resolved)
	})
}

// A pause that is on disk holds, even if who asked for it hung up.
func TestPauseOfWhoHungUp(t *testing.T) {
	heals(t, one, func(h *rig) {
		ctx, cancel := context.WithCancel(h.ctx())
		h.at["before pause"] = cancel
		if _, err := h.p.Pause(ctx, "all", 0, "x", "eve"); err != nil {
			t.Fatal(err)
		}
		h.Fails(unit)
		h.Advance(time.Minute)
		h.WantActs()
		h.Restarts()
		h.Advance(time.Minute)
		h.WantActs()
	})
}

func TestPauseOfNothingIsAnError(t *testing.T) {
	heals(t, one, func(h *rig) {
		if _, err := h.p.Pause(h.ctx(), "service:chekout", 0, "", "eve"); !errors.Is(err, local.ErrNotFound) {
			t.Errorf("%v", err)
		}
		if _, err := h.p.Resume(h.ctx(), "all", "eve"); !errors.Is(err, local.ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}

func TestWatchReplaysAndGoesOn(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.Fails(unit)
		h.Advance(20 * time.Second)
		ctx, cancel := context.WithCancel(h.ctx())
		var got []string
		end := make(chan error)
		go func() {
			end <- h.p.Watch(ctx, 2, func(ev local.Event) error {
				got = append(got, string(ev.Type))
				return nil
			})
		}()
		h.Advance(time.Second)
		h.Pauses("all", 0)
		h.Advance(time.Second)
		cancel()
		if err := <-end; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		if want := []string{"alert", "end", "person"}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	})
}

// Who does not read is cut off, and the engine never waits for him.
func TestSlowWatcherIsCutOff(t *testing.T) {
	heals(t, one, func(h *rig) {
		read := make(chan struct{})
		end := make(chan error)
		go func() {
			end <- h.p.Watch(h.ctx(), 0, func(local.Event) error {
				<-read
				return nil
			})
		}()
		synctest.Wait()
		for range watcherQueue {
			h.Pauses("all", 0)
			h.Resumes()
		}
		close(read)
		if err := <-end; !errors.Is(err, errSlow) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestDoctor(t *testing.T) {
	find := func(h *rig, about string) string {
		findings, err := h.p.Doctor(h.ctx())
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, f := range findings {
			if f.About == about {
				out = append(out, fmt.Sprintf("%s: %s", f.Verdict, f.Text))
			}
		}
		return strings.Join(out, "\n")
	}
	for _, c := range []struct {
		name  string
		conf  string
		on    func(*rig)
		about string
		says  string
	}{
		{"well", one, func(*rig) {}, "remedy checkout/restart for " + unit, "ok: would run: restart " + unit},
		{"well, and down is what it is for", strings.Replace(one, `remedy "restart"`, `remedy "start"`, 1), func(*rig) {},
			"remedy checkout/restart for " + unit, "ok: would run when it is needed; now " + unit + " is active already"},
		{"root has not said so", one, func(h *rig) {
			h.p.o.Leave = func(unit string, verbs []string) Leave {
				return Leave{Refused: verbs[0] + " on " + unit}
			}
		}, "remedy checkout/restart for " + unit, "failed: refused because root has not told polkit of restart on " + unit},
		{"nobody knows", one, func(h *rig) { h.p.o.Leave = func(string, []string) Leave { return Leave{Unknown: "no list"} } },
			"remedy checkout/restart for " + unit, "whether systemd lets Salve do so is unknown: no list"},
		{"no bus", one, func(h *rig) { h.say(systemd.Disconnected, "") }, "systemd", "failed: no connection"},
		{"disk full", one, func(h *rig) { h.disk.fill(true) }, "journal", "failed: no space"},
		{"paused", one, func(h *rig) { h.Pauses("all", 0) }, "pause", "warning: all is paused by eve"},
		{"masked", one, func(h *rig) { h.change(unit, func(u *systemd.Unit) { u.Load = "masked" }) }, "service checkout",
			"warning: checkout.service is masked"},
		{"locked", one, func(h *rig) { h.Locks("/var/lib/dpkg/lock") }, "packages",
			"warning: /var/lib/dpkg/lock has been locked"},
		{"observe", strings.Replace(one, `"full"`, `"observe"`, 1), func(*rig) {}, "autonomy", "warning: observe"},
		{"silent", two, func(h *rig) { h.Silent(health) }, "rule ill for " + unit, "warning: not known now: probe.health.ok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			heals(t, c.conf, func(h *rig) {
				c.on(h)
				h.Advance(2 * time.Second)
				if got := find(h, c.about); !strings.Contains(got, c.says) {
					t.Errorf("about %s: %q, want %q", c.about, got, c.says)
				}
				h.WantActs()
			})
		})
	}
}

// A rule is taken out while its alert fires and its remedy is being verified.
func TestReloadWithoutTheRule(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.Trait(unit, trait{takes: 2 * time.Second})
		h.Fails(unit)
		h.Advance(time.Second)
		bare, _, _ := strings.Cut(one, "rule \"down\"")
		if err := h.p.Swap(h.ctx(), load(t, bare)); err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Minute)
		h.WantActs("restart " + unit)
		h.WantState("checkout", incident.Resolved)
		h.wantEnded("rule taken out", incident.Resolved)
	})
}

// A remedy is taken out while the agent is away, after it ran: nobody can verify it any more.
func TestRestartWithoutTheRemedy(t *testing.T) {
	heals(t, two+worse, func(h *rig) {
		h.Tells(health, 0)
		h.Until("acted", time.Minute, func() bool { return h.count() == 1 })
		h.Advance(time.Second)
		h.Kill()
		h.cfg = load(t, one)
		h.Start()
		h.Advance(time.Minute)
		h.wantEnded("remedy taken out", incident.Escalated)
		h.WantPages("trigger checkout: journald.log", "resolve checkout: journald.log")
		h.WantSaid("checkout", "is not configured any more: nobody can verify it")
	})
}

const ladder = `
escalation "default" {
  step { notify = ["journald.log"] }
  step {
    after  = "1m"
    notify = ["journald.two"]
    repeat = 1
  }
}
`

// The steps are climbed until somebody has it.
func TestEscalationClimbs(t *testing.T) {
	before, after, _ := strings.Cut(one, "escalation \"default\" {\n  step { notify = [\"journald.log\"] }\n}\n")
	conf := before + ladder + after
	heals(t, conf, func(h *rig) {
		h.Trait(unit, trait{broken: true})
		h.Fails(unit)
		h.Until("told", 10*time.Minute, func() bool { return len(h.told()) == 1 })
		h.Advance(90 * time.Second)
		h.WantPages("trigger checkout: journald.log", "trigger checkout: journald.two")
		h.Advance(time.Minute)
		h.WantPages("trigger checkout: journald.two")
		h.Advance(time.Hour)
		h.WantPages()
		h.up(unit)
		h.Advance(time.Minute)
		h.WantPages("resolve checkout: journald.log, journald.two")
	})
	heals(t, conf, func(h *rig) { // a notifier that refuses is passed over at once
		h.deaf["journald.log"] = true
		h.Trait(unit, trait{broken: true})
		h.Fails(unit)
		h.Until("told", 10*time.Minute, func() bool { return len(h.told()) == 1 })
		h.Advance(3 * time.Second)
		h.WantPages("trigger checkout: journald.log", "trigger checkout: journald.two")
	})
	heals(t, conf, func(h *rig) { // who has it ends the climb
		h.Trait(unit, trait{broken: true})
		h.Fails(unit)
		h.Until("told", 10*time.Minute, func() bool { return len(h.told()) == 1 })
		if _, err := h.p.Acknowledge(h.ctx(), "last", false, "", "eve"); err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Hour)
		h.WantPages("trigger checkout: journald.log")
	})
}
