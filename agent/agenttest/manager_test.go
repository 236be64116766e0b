package agenttest

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const sleeper = "[Service]\nExecStart=/bin/sleep 1000\n"

func TestTwoManagersAtOnce(t *testing.T) {
	a, b := Manager(t), Manager(t)
	for _, m := range []*Systemd{a, b} {
		if err := m.WriteUnit("one.service", sleeper); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Systemctl("start", "one.service"); err != nil {
		t.Fatal(err)
	}
	if got, _ := a.Property("one.service", "ActiveState"); got != "active" {
		t.Errorf("in the first manager the unit is %q, want active", got)
	}
	if got, _ := b.Property("one.service", "ActiveState"); got != "inactive" {
		t.Errorf("in the second manager the unit is %q, want inactive", got)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	m := Manager(t)
	const stubborn = "[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; sleep 1000 & wait; wait'\n"
	if err := m.WriteUnit("stubborn.service", stubborn); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Systemctl("start", "stubborn.service"); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range append(m.cgroups, m.folder) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there", dir)
		}
	}
}

// TestSweepAfterKill starts a manager in a process of its own, kills that process, and expects the
// next start to remove what it left.
func TestSweepAfterKill(t *testing.T) {
	if os.Getenv("AGENTTEST_OWNER") != "" {
		m := Manager(t)
		os.Stdout.WriteString(m.folder + " " + strings.Join(m.cgroups, " ") + "\n")
		select {}
	}
	probe := Manager(t) // is there a manager to be had at all?
	cmd := exec.Command(os.Args[0], "-test.run=^TestSweepAfterKill$")
	cmd.Env = append(os.Environ(), "AGENTTEST_OWNER=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	left := strings.Fields(string(buf[:n]))
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	sweep()
	Eventually(t, func() bool {
		for _, dir := range left {
			if _, err := os.Stat(dir); err == nil {
				return false
			}
		}
		return true
	}, "everything swept: "+strings.Join(left, " "))
	if probe.process.exited() {
		t.Error("the sweep took a living manager along")
	}
}
