package agent

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/pkg/incident"
)

// TestBadRelease: a release that ran well is remembered, also by the next process; one that does not start is left for it, and
// that helps.
func TestBadRelease(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.release("1", "exec sleep 1000")
	h.release("2", "exit 1")
	h.lead("1")
	h.install("app.service", fmt.Sprintf("[Service]\nExecStart=/bin/sh %s/run\n", h.file("current")))
	h.configure(fmt.Sprintf(`
allow {
  paths   = [%[1]q]
  actions = ["rollback"]
}
allow {
  units   = ["app.service"]
  actions = ["restart"]
}
service "app" {
  startup = "100ms"
  release = %[1]q
  remedy "rollback" "back" {
    releases   = %[2]q
    good_after = "1s"
    verify { hold = "500ms" }
  }
}
rule "down" {
  services = ["app"]
  when     = unit.failed
  try      = ["back"]
}
`, h.file("current"), h.file("releases")))
	log := newLog(t)
	first := h.start(logTo(log))
	agenttest.Eventually(t, func() bool { return strings.Contains(log.String(), "a version has run well") }, "it is learned")
	first.stop()

	h.learnsNoMore()
	second := h.start(nil)
	second.reads("unit.active", "app.service", 1)
	h.lead("2")
	h.ctl("restart", "app.service")
	agenttest.Eventually(t, func() bool {
		text, _ := os.Readlink(h.file("current"))
		return text == "releases/1"
	}, "the link leads back")
	second.reads("unit.active", "app.service", 1)
	second.ended("app")
	second.stop()
	if all := h.attempts(); len(all) != 1 || all[0].Outcome != incident.Verified {
		t.Errorf("attempts %+v", all)
	}
}

// TestBadConfiguration: files that a service ran well with are remembered, also by the next process, and come back.
func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if err := os.Mkdir(h.file("conf"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.write("conf/app.conf", "exec sleep 1000\n", 0o644)
	h.install("app.service", fmt.Sprintf("[Service]\nExecStart=/bin/sh %s\n", h.file("conf/app.conf")))
	h.configure(fmt.Sprintf(`
allow {
  paths   = [%[1]q]
  actions = ["rollback_files"]
}
allow {
  units   = ["app.service"]
  actions = ["restart"]
}
service "app" {
  startup = "100ms"
  remedy "rollback_files" "back" {
    path       = %[1]q
    files      = ["*.conf"]
    good_after = "1s"
    verify { hold = "500ms" }
  }
}
rule "down" {
  services = ["app"]
  when     = unit.failed
  try      = ["back"]
}
`, h.file("conf")))
	log := newLog(t)
	first := h.start(logTo(log))
	h.ctl("restart", "app.service")
	agenttest.Eventually(t, func() bool { return strings.Contains(log.String(), "a version has run well") }, "it is learned")
	first.stop()

	h.learnsNoMore()
	second := h.start(nil)
	second.reads("unit.active", "app.service", 1)
	h.write("conf/app.conf", "exit 1\n", 0o644)
	h.write("conf/more.conf", "more\n", 0o644)
	h.ctl("restart", "app.service")
	agenttest.Eventually(t, func() bool {
		text, _ := os.ReadFile(h.file("conf/app.conf"))
		return string(text) == "exec sleep 1000\n"
	}, "the file is back")
	second.reads("unit.active", "app.service", 1)
	second.ended("app")
	second.stop()
	if _, err := os.Stat(h.file("conf/more.conf")); err == nil {
		t.Error("what was not there before is still there")
	}
	if all := h.attempts(); len(all) != 1 || all[0].Outcome != incident.Verified {
		t.Errorf("attempts %+v", all)
	}
}

// learnsNoMore has what is bad not count as good because it takes long to end on a busy machine.
func (h *host) learnsNoMore() {
	h.t.Helper()
	h.configure(strings.Replace(h.text, `good_after = "1s"`, `good_after = "1h"`, 1))
}

// release makes a release that does this when it is started.
func (h *host) release(name, script string) {
	h.t.Helper()
	if err := os.MkdirAll(h.file("releases/"+name), 0o755); err != nil {
		h.t.Fatal(err)
	}
	h.write("releases/"+name+"/run", script+"\n", 0o644)
}

// lead lets the link lead to a release, as a deployment does.
func (h *host) lead(name string) {
	h.t.Helper()
	if err := os.Symlink("releases/"+name, h.file("next")); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(h.file("next"), h.file("current")); err != nil {
		h.t.Fatal(err)
	}
}
