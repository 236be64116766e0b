package agent

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/pkg/require"
	"github.com/salveops/salve/proto/localpb"
)

// health is what /healthz says.
func (h *host) health() (int, string) {
	h.t.Helper()
	resp, err := http.Get("http://" + h.metrics + "/healthz")
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// While the disk takes nothing there is no intent and so no action; the agent goes on to look, says what is
// wrong, and heals when there is room again. The disk is full for this one process: its limit on the size of
// files lets no write through.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	h.metrics = require.Port(t)
	h.configure(web)
	p := h.spawn()
	p.reads("unit.active", "web.service", 1)
	if code, text := h.health(); code != http.StatusOK {
		t.Errorf("before: %d %s", code, text)
	}

	was, none := unix.Rlimit{}, unix.Rlimit{Cur: 0, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &none, &was); err != nil {
		t.Fatal(err)
	}
	h.crash("web.service")
	p.await(event{typ: "decide", service: "web", text: "write intent, nothing was done"})
	p.reads("unit.failed", "web.service", 1)
	agenttest.Eventually(t, func() bool {
		code, text := h.health()
		return code == http.StatusServiceUnavailable && strings.Contains(text, "file too large")
	}, "/healthz says why")
	if s := p.status(); s.GetHealthy() {
		t.Error("the status calls the agent healthy")
	}
	if n := len(h.starts("web")); n != 1 {
		t.Errorf("the unit was started %d times, want 1", n)
	}

	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &was, nil); err != nil {
		t.Fatal(err)
	}
	in := p.ended("web")
	if in.GetSummary().GetEnd() != "again healed it" || len(in.GetAttempts()) != 1 {
		t.Errorf("the incident: %v", in.GetSummary())
	}
	if n := len(h.starts("web")); n != 2 {
		t.Errorf("the unit was started %d times, want 2", n)
	}
	agenttest.Eventually(t, func() bool {
		code, _ := h.health()
		return code == http.StatusOK
	}, "/healthz is well again")
}

// budget-reset: a damaged journal is set aside, kept and told of. What ran before is not known then, so
// remedies wait, and a person can say that they need not.
func TestCorruptJournal(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	h.start(nil).stop()
	files, err := filepath.Glob(h.file("state/*.db"))
	if err != nil || len(files) != 1 {
		t.Fatalf("journal files: %v, %v", files, err)
	}
	damaged := bytes.Repeat([]byte("no journal "), 4096)
	if err := os.WriteFile(files[0], damaged, 0o600); err != nil {
		t.Fatal(err)
	}

	log := newLog(t)
	a := h.start(logTo(log))
	if !strings.Contains(log.String(), "the journal was damaged and has been set aside") {
		t.Error("the log does not say it")
	}
	aside, err := filepath.Glob(h.file("state/*corrupt*"))
	if err != nil || len(aside) != 1 {
		t.Fatalf("set aside: %v, %v", aside, err)
	}
	if src, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(src, damaged) {
		t.Errorf("the damaged file has changed, %v", err)
	}

	h.crash("web.service")
	e := a.await(event{typ: "escalate", service: "web", text: "the journal was damaged"})
	if n := len(h.starts("web")); n != 1 {
		t.Errorf("the unit was started %d times, want 1", n)
	}
	id := e.GetIncident()
	if _, err := a.Acknowledge(t.Context(), &localpb.AcknowledgeRequest{Id: id}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Release(t.Context(), &localpb.ReleaseRequest{Id: id}); err != nil {
		t.Fatal(err)
	}
	if in := a.ended("web"); in.GetSummary().GetEnd() != "again healed it" {
		t.Errorf("the end is %q", in.GetSummary().GetEnd())
	}
}
