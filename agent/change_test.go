package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/proto/localpb"
)

// changeHost is a host with a service whose program and release link can be replaced.
type changeHost struct {
	*host
	*running
	flips int
}

func newChangeHost(t *testing.T) *changeHost {
	t.Helper()
	h := newHost(t)
	c := &changeHost{host: h}
	c.deploy("app")
	c.flip()
	h.install("app.service", fmt.Sprintf("[Service]\nExecStart=%s 1000\n", h.file("app")))
	h.configure(fmt.Sprintf(`
allow {
  units   = ["app.service"]
  actions = ["start"]
}
service "app" {
  release = %q
  remedy "start" "start" {}
}
rule "down" {
  services = ["app"]
  when     = unit.failed && recent_change("1h", "deployment")
  clear    = unit.active
  try      = ["start"]
}
`, h.file("current")))
	return c
}

// deploy puts a program in the place of the one that was there.
func (c *changeHost) deploy(name string) {
	c.host.t.Helper()
	program, err := os.ReadFile("/bin/sleep")
	if err != nil {
		c.host.t.Fatal(err)
	}
	c.move(c.write(name+".new", string(program), 0o755), name)
}

// flip lets the link to the release lead elsewhere.
func (c *changeHost) flip() {
	c.host.t.Helper()
	c.flips++
	dir := c.file(fmt.Sprint("release", c.flips%2))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		c.host.t.Fatal(err)
	}
	if err := os.Symlink(dir, c.file("next")); err != nil {
		c.host.t.Fatal(err)
	}
	c.move(c.file("next"), "current")
}

func (c *changeHost) move(from, to string) {
	c.host.t.Helper()
	if err := os.Rename(from, c.file(to)); err != nil {
		c.host.t.Fatal(err)
	}
}

// known are the changes that the agent tells of, without those of the release link, the newest first.
func (c *changeHost) known() (out []string, flips int) {
	c.host.t.Helper()
	r, err := c.Changes(c.host.t.Context(), &localpb.ChangesRequest{})
	if err != nil {
		c.host.t.Fatal(err)
	}
	for _, x := range r.GetChanges() {
		if x.GetKind() == "release" {
			flips++
			continue
		}
		out = append(out, fmt.Sprintf("%s %s: %s", x.GetKind(), x.GetService(), strings.ReplaceAll(x.GetText(), c.dir, "")))
	}
	return out, flips
}

// settled returns when the agent has looked at all that there is: it looks at everything whenever it looks.
func (c *changeHost) settled() {
	c.host.t.Helper()
	_, before := c.known()
	agenttest.Eventually(c.host.t, func() bool {
		c.flip()
		_, now := c.known()
		return now > before
	}, "a release is noticed")
}

func (c *changeHost) want(want ...string) {
	c.host.t.Helper()
	c.settled()
	if got, _ := c.known(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		c.host.t.Errorf("known are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestChangesAreNoticed: on a real systemd, a unit file and a program that are replaced are noticed, touching and reading
// again is not, and neither is what Salve itself sets; what is known outlives the agent and explains an incident.
func TestChangesAreNoticed(t *testing.T) {
	t.Parallel()
	h := newChangeHost(t)
	h.running = h.start(nil)
	h.want()

	unit := filepath.Join(h.Units, "app.service")
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unit, text, 0o644); err != nil { // the same again
		t.Fatal(err)
	}
	h.ctl("daemon-reload")
	h.ctl("set-property", "--runtime", "app.service", "TasksMax=100")
	h.ctl("daemon-reload")
	h.ctl("restart", "app.service")
	h.want()

	if err := h.WriteUnit("app.service.d/nice.conf", "[Service]\nNice=5\n"); err != nil {
		t.Fatal(err)
	}
	reloaded := "unit app: " + strings.ReplaceAll(filepath.Join(h.Units, "app.service.d/nice.conf"), h.dir, "") + " is new"
	agenttest.Eventually(t, func() bool { got, _ := h.known(); return len(got) == 1 }, "the drop-in is noticed")
	h.want(reloaded)

	h.deploy("app")
	h.want("binary app: app.service still runs the old program; a start would run another /app", reloaded)
	h.ctl("restart", "app.service")
	now := "binary app: app.service runs another /app since it was started anew"
	agenttest.Eventually(t, func() bool { got, _ := h.known(); return got[0] == now }, "the restart is noticed")
	h.stop()

	h.deploy("app") // while no agent runs
	h.running = h.start(nil)
	h.want("binary app: app.service still runs the old program; a start would run another /app", now, reloaded)

	_, err = h.RecordChange(t.Context(), &localpb.RecordChangeRequest{Service: "app", Text: "release 7"})
	if err != nil {
		t.Fatal(err)
	}
	h.crash("app.service")
	h.await(event{typ: "diagnose", text: "before: deployment of app by "}) // and the rule fires because of it
	h.await(event{typ: "diagnose", text: "changes before"})
	r, err := h.Incident(t.Context(), &localpb.IncidentRequest{Id: "last"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range r.GetIncident().GetEvidence() {
		if e.GetTitle() == "changes before" && strings.Contains(e.GetText(), "nice.conf is new") &&
			strings.Contains(e.GetText(), "release 7") {
			return
		}
	}
	t.Errorf("evidence: %v", r.GetIncident().GetEvidence())
}
