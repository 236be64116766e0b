package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
)

// A limit that systemd says it has set, and that nothing feels, is a failure: it is taken back, and the next
// remedy comes. Here the hog leaves the controlled group just before the limit.
func TestLimitWithoutEffect(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.install("hog.service", "[Service]\nCPUWeight=100\nExecStart=/bin/sh -c 'while :; do :; done'\n")
	pid := h.ctl("show", "--value", "--property=MainPID", "hog.service")
	group := ""
	own := agenttest.Poll(patience, func() bool { // systemd says that it runs before it has moved there
		group = cpuGroup(t, pid)
		return strings.HasSuffix(group, "/hog.service")
	})
	agenttest.Require(t, "the cpu controller of cgroup v1", own,
		"the manager's units have no group of their own in it")
	h.configure(`
allow {
  units   = ["hog.service"]
  actions = ["set_property", "stop", "start"]
}
service "hog" {
  startup = "100ms"
  every   = "100ms"
  remedy "set_property" "hold" {
    properties = { CPUQuota = "10%" }
    verify {
      within = "2s"
      hold   = "100ms"
    }
  }
  remedy "stop" "end" {
    verify {
      when   = !unit.active
      within = "10s"
      hold   = "100ms"
    }
  }
}
rule "hog-runs" {
  services  = ["hog"]
  when      = unit.uptime > 500 * ms
  for       = "0s"
  clear_for = "100ms"
  try       = ["hold", "end"]
}
`)
	seam := points{at: func(_ int, name string) {
		if name == "after intended of hold is on disk" {
			if err := os.WriteFile(filepath.Join(filepath.Dir(group), "cgroup.procs"), []byte(pid), 0); err != nil {
				t.Error(err)
			}
		}
	}}
	a := h.start(func(o *Options) { o.memory = seam.memory })
	in := a.ended("hog")
	at := in.GetAttempts()
	if len(at) != 2 || at[0].GetOutcome() != "ineffective" || !at[0].GetUndone() || at[1].GetOutcome() != "verified" {
		t.Fatalf("the attempts are %v, want one that is taken back and one that helps", at)
	}
	if !strings.Contains(at[0].GetError(), "systemd took CPUQuota, but it has no effect") {
		t.Errorf("the first attempt says %q", at[0].GetError())
	}
	if quota, _ := h.Property("hog.service", "CPUQuotaPerSecUSec"); quota != "infinity" {
		t.Errorf("the limit has left a quota of %s", quota)
	}
}

// cpuGroup is the process's folder in the v1 cpu hierarchy, "" where there is none.
func cpuGroup(t testing.TB, pid string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%s/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		if controllers != "cpu" && controllers != "cpu,cpuacct" {
			continue
		}
		dir := filepath.Join("/sys/fs/cgroup", controllers, path)
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			return dir
		}
	}
	return ""
}
