package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/agent/internal/order"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUsage(t *testing.T) {
	for code, lines := range map[int][][]string{
		0: {{"--help"}, {"--version"}},
		1: {{}, {"--user", "nobody-of-that-name"}, {"--systemd", "system"}}, // by hand there is no socket
		2: {{"--nonsense"}, {"restart"}},
	} {
		for _, args := range lines {
			if got := run(args); got != code {
				t.Errorf("exit code of %q is %d, want %d", args, got, code)
			}
		}
	}
}

// TestStartedByItsSocket: the program as systemd runs it, from the first request on; dead, it comes back for the next.
func TestStartedByItsSocket(t *testing.T) {
	m := agenttest.Manager(t)
	dir, err := os.MkdirTemp("/tmp", "salve-helper-") // t.TempDir() may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program, list := filepath.Join(dir, "helper"), filepath.Join(dir, "allow")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the product is built, also when this test looks for races
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	may := helper.List{May: []helper.Entry{{Pattern: "a.service", Verbs: []string{order.Start, order.SetProperty}}}}
	if err := os.WriteFile(list, []byte(may.Text()), 0o644); err != nil {
		t.Fatal(err)
	}
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	c := helper.Client{Socket: filepath.Join(dir, "socket")}
	for name, text := range map[string]string{
		"a.service": "[Service]\nExecStart=/bin/sleep 1000\nTasksMax=70\n",
		"h.socket":  "[Socket]\nListenStream=" + c.Socket + "\nRemoveOnStop=yes\n",
		"h.service": fmt.Sprintf("[Service]\nExecStart=%s --list %s --user %s --systemd %s\n",
			program, list, self.Username, m.Address),
	} {
		if err := m.WriteUnit(name, text); err != nil {
			t.Fatal(err)
		}
	}
	is := func(unit, property, want string) {
		t.Helper()
		agenttest.Eventually(t, func() bool {
			got, _ := m.Property(unit, property)
			return got == want
		}, property+" of "+unit+" is "+want)
	}
	do := func(args ...string) {
		t.Helper()
		if _, err := m.Systemctl(args...); err != nil {
			t.Fatal(err)
		}
	}
	if c.Present() {
		t.Error("the helper is there before its socket")
	}
	do("start", "h.socket")
	if got, _ := m.Property("h.service", "ActiveState"); !c.Present() || got != "inactive" {
		t.Errorf("with its socket and before any request it is %s", got)
	}
	if job, err := c.Ask(t.Context(), order.Order{Verb: order.Start, Unit: "a.service"}); err != nil || job == 0 {
		t.Fatalf("start is job %d, %v", job, err)
	}
	is("a.service", "ActiveState", "active")
	do("kill", "--signal=KILL", "h.service")
	is("h.service", "ActiveState", "failed")

	limit := order.Order{Verb: order.SetProperty, Unit: "a.service", Runtime: true, For: 10 * time.Second,
		Properties: map[string]order.Value{"TasksMax": {N: 21}}}
	if _, err := c.Ask(t.Context(), limit); err != nil {
		t.Fatal(err)
	}
	is("a.service", "TasksMax", "21")
	do("stop", "h.socket", "h.service")
	if c.Present() {
		t.Error("its socket is there after it was turned off")
	}
	if err := os.Remove(program); err != nil { // as when the package is removed
		t.Fatal(err)
	}
	is("a.service", "TasksMax", "70")
	if _, err := c.Ask(t.Context(), limit); err == nil || !strings.Contains(err.Error(), "nothing was done") {
		t.Errorf("a request when it is off: %v", err)
	}
}
