package agent

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// up is the service web with a rule that also fires for a unit that was stopped.
var up = strings.Replace(web, "when      = unit.failed", "when      = !unit.active", 1)

// guard is a decision that something held back.
func guard(name string) event {
	return event{typ: "decide", service: "web", fields: map[string]string{"guard": name}}
}

// What a person does to a unit beats the automation: it stays as it is, and the record says why. What the
// person gives back is looked after again.
func TestHumanWins(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		by    func(h *host, a *running)
		why   string
		again func(h *host) // gives the unit back
	}{
		{"stopped", func(h *host, _ *running) { h.ctl("stop", "web.service") }, "stopped by a person",
			func(h *host) { h.ctl("start", "web.service") }},
		{"masked", func(h *host, a *running) {
			h.ctl("mask", "--runtime", "web.service")
			h.ctl("daemon-reload") // on a booted machine mask does that itself
			a.finds("web.service is masked")
			h.crash("web.service")
		}, "is masked", func(h *host) {
			h.ctl("unmask", "--runtime", "web.service")
			h.ctl("daemon-reload")
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newWeb(t)
			h.configure(up)
			a := h.start(nil)
			c.by(h, a)
			if e := a.await(guard("human_wins")); !strings.Contains(e.GetText(), c.why) {
				t.Errorf("the reason is %q, want one with %q", e.GetText(), c.why)
			}
			if n := len(h.starts("web")); n != 1 {
				t.Errorf("the unit was started %d times, want 1", n)
			}
			a.never(event{typ: "intent"})
			c.again(h)
			a.ended("web")
			h.crash("web.service")
			a.await(event{typ: "verify", service: "web", fields: map[string]string{"outcome": "verified"}})
		})
	}
}

// A unit that is down when the agent comes was stopped by a person; also when it was up as the agent left.
func TestStoppedWhileAgentWasDown(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	h.configure(up)
	h.start(nil).stop()
	h.ctl("stop", "web.service")
	a := h.start(nil)
	a.await(guard("human_wins"))
	if n := len(h.starts("web")); n != 1 {
		t.Errorf("the unit was started %d times, want 1", n)
	}
}

// lockstep: systemd's own restart is waited for, and not run against. When systemd gives up it is
// Salve's turn.
func TestSystemdRestartsItself(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.install("web.service", strings.Replace(h.counted("web", "Restart=on-failure", "RestartSec=500ms"),
		"StartLimitIntervalSec=0", "StartLimitIntervalSec=1h\nStartLimitBurst=2", 1))
	h.configure(web)
	a := h.start(nil)
	a.reads("unit.active", "web.service", 1)
	h.crash("web.service")
	a.reads("unit.restarts", "web.service", 1)
	a.reads("unit.active", "web.service", 1)
	a.never(event{service: "web"})
	if n := len(h.starts("web")); n != 2 {
		t.Errorf("the unit was started %d times, want 2", n)
	}

	h.crash("web.service")
	if in := a.ended("web"); in.GetSummary().GetEnd() != "again healed it" {
		t.Errorf("the end is %q", in.GetSummary().GetEnd())
	}
	if n := len(h.starts("web")); n != 3 {
		t.Errorf("the unit was started %d times, want 3", n)
	}
}

// A slow starter is judged by nobody before its time to start is over; after that it is.
func TestSlowStarter(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.install("web.service", h.counted("web"))
	var healthy atomic.Bool
	healthy.Store(true)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !healthy.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer target.Close()
	h.configure(strings.NewReplacer("URL", target.URL).Replace(`
allow {
  units   = ["web.service"]
  actions = ["restart"]
}
service "web" {
  unit    = "web.service"
  startup = "10s"
  probe "health" {
    http    = "URL"
    every   = "1s"
    timeout = "1s"
  }
  remedy "restart" "again" {
    verify {
      within = "10s"
      hold   = "100ms"
    }
  }
}
rule "web-ill" {
  services = ["web"]
  when     = !probe.health.ok
  for      = "0s"
  try      = ["again"]
}
`))
	a := h.start(nil)
	a.reads("probe.health.ok", "web", 1)

	starts := func() { // and returns when the agent knows it
		h.ctl("stop", "web.service")
		a.reads("unit.active", "web.service", 0)
		h.ctl("start", "web.service")
		a.reads("unit.active", "web.service", 1)
	}
	starts()
	healthy.Store(false)
	a.reads("probe.health.ok", "web", 0)
	healthy.Store(true)
	a.reads("probe.health.ok", "web", 1)
	a.never(event{service: "web"})

	began := time.Now()
	starts()
	healthy.Store(false)
	fired := a.await(event{typ: "alert", service: "web"}).GetAt().AsTime()
	if fired.Sub(began) < 10*time.Second {
		t.Errorf("it fired %v after the start, want 10s at least", fired.Sub(began))
	}
	a.await(event{typ: "intent", service: "web"})
	healthy.Store(true)
	if in := a.ended("web"); in.GetSummary().GetEnd() != "again healed it" {
		t.Errorf("the end is %q", in.GetSummary().GetEnd())
	}
}
