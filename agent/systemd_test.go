package agent

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
)

// While systemd cannot be reached its units are unknown and nothing is done; once it is back the agent
// sees what happened meanwhile, and heals it.
func TestSystemdGoneAndBack(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	proxy := agenttest.NewProxy(t, h.Address)
	h.bus = proxy.Address()
	a := h.start(nil)
	a.reads("unit.active", "web.service", 1)

	proxy.Cut()
	agenttest.Eventually(t, func() bool {
		s := a.signal("unit.active", "web.service")
		return s != nil && !s.GetKnown()
	}, "the unit's signals are unknown")
	if s := a.status(); s.GetHealthy() || len(s.GetProblems()) == 0 {
		t.Errorf("the agent calls itself healthy without systemd: %v", s.GetProblems())
	}
	h.crash("web.service")
	agenttest.Eventually(t, func() bool {
		state, err := h.Property("web.service", "ActiveState")
		return err == nil && state == "failed"
	}, "the unit has failed")
	a.never(event{service: "web"})

	if err := proxy.Restore(); err != nil {
		t.Fatal(err)
	}
	if in := a.ended("web"); in.GetSummary().GetEnd() != "again healed it" {
		t.Errorf("the end is %q", in.GetSummary().GetEnd())
	}
	if n := len(h.starts("web")); n != 2 {
		t.Errorf("the unit was started %d times, want 2", n)
	}
}

// What becomes of an action whose answer is lost with the connection is not guessed: the unit itself tells,
// and nothing is done twice.
func TestSystemdGoneDuringAction(t *testing.T) {
	t.Parallel()
	h, gate := newGated(t)
	proxy := agenttest.NewProxy(t, h.Address)
	h.bus = proxy.Address()
	a := h.start(nil)
	gate.shut(t)
	h.crash("web.service")
	agenttest.Eventually(t, func() bool { return len(h.starts("web")) == 2 }, "the agent starts the unit")
	proxy.Cut()
	a.await(event{typ: "act", service: "web", text: "the connection was lost before the answer came"})
	gate.open(t)
	if err := proxy.Restore(); err != nil {
		t.Fatal(err)
	}
	in := a.ended("web")
	if at := in.GetAttempts(); len(at) != 1 || at[0].GetOutcome() != "verified" {
		t.Errorf("the attempts are %v, want one that was verified", at)
	}
	if n := len(h.starts("web")); n != 2 {
		t.Errorf("the unit was started %d times, want 2", n)
	}
}

// A unit whose file vanishes while it is being healed is left alone, and healed when the file is back.
func TestUnitFileRemovedWhileHealing(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	preparing, removed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	a := h.start(func(o *Options) {
		o.step = func(name string) {
			if name == "prepare" {
				once.Do(func() {
					close(preparing)
					<-removed
				})
			}
		}
	})
	h.crash("web.service")
	<-preparing
	if err := h.RemoveUnit("web.service"); err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, func() bool {
		units := a.status().GetServices()[0].GetUnits()
		return len(units) == 0 || units[0].GetState() == "missing"
	}, "the agent knows it")
	close(removed)
	a.await(event{typ: "decide", service: "web", text: "its unit file is gone"})
	if n := len(h.starts("web")); n != 1 {
		t.Errorf("the unit was started %d times, want 1", n)
	}
	if err := h.WriteUnit("web.service", h.counted("web")); err != nil {
		t.Fatal(err)
	}
	if in := a.ended("web"); in.GetSummary().GetEnd() != "again healed it" {
		t.Errorf("the end is %q", in.GetSummary().GetEnd())
	}
}

// A restart that would take units along which no allow block names is refused, and people learn why.
func TestRestartDragsOthers(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	h.install("shop.service", "[Unit]\nRequires=web.service\n"+strings.TrimPrefix(h.counted("shop"), "[Unit]\n"))
	ill := httptest.NewServer(http.NotFoundHandler())
	defer ill.Close()
	h.configure(strings.NewReplacer(`remedy "restart"`, `probe "health" {
    http    = "`+ill.URL+`"
    every   = "200ms"
    timeout = "200ms"
  }
  remedy "restart"`, "unit.failed", "!probe.health.ok", "clear_for", "for       = \"0s\"\n  clear_for").Replace(web))
	a := h.start(nil)
	e := a.await(event{typ: "escalate", service: "web"})
	if !strings.Contains(e.GetText(), "would take shop.service along") {
		t.Errorf("the reason is %q", e.GetText())
	}
	if len(h.starts("web")) != 1 || len(h.starts("shop")) != 1 {
		t.Errorf("starts: web %d, shop %d; want 1 and 1", len(h.starts("web")), len(h.starts("shop")))
	}
}

// A unit that systemd does not start any more, because it was started too often, is reset and started once.
func TestStartLimit(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.install("web.service", strings.Replace(h.counted("web"), "StartLimitIntervalSec=0",
		"StartLimitIntervalSec=1h\nStartLimitBurst=1", 1))
	h.configure(web)
	h.crash("web.service")
	if _, err := h.Systemctl("start", "web.service"); err == nil {
		t.Fatal("the start limit does not hold")
	}
	a := h.start(nil)
	in := a.ended("web")
	if in.GetSummary().GetEnd() != "again healed it" || len(in.GetAttempts()) != 1 {
		t.Errorf("the incident: %v", in.GetSummary())
	}
	if n := len(h.starts("web")); n != 2 {
		t.Errorf("the unit was started %d times, want 2", n)
	}
}
