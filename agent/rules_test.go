package agent

import (
	"os"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/delivery"
	"github.com/salveops/salve/agent/internal/session/linetest"
	bundles "github.com/salveops/salve/pkg/bundle"
	"github.com/salveops/salve/proto/localpb"
	"github.com/salveops/salve/proto/logpb"
)

// heals is a rule of a bundle, which chooses among the host's own remedies.
const heals = `
rule "delivered" {
  services  = ["web"]
  severity  = "critical"
  when      = unit.failed
  clear_for = "100ms"
  try       = ["again"]
}
rule "elsewhere" {
  services = ["db"]
  when     = unit.failed
}
`

func file(text string) bundles.File { return bundles.File{Name: "a.hcl", Text: text} }

// silent is web without its own rule.
var silent = web[:strings.Index(web, `rule "web-down"`)]

// said awaits what the host says of the bundle "base" to the controller.
func said(t testing.TB, node *linetest.Server, what string, is func(*logpb.HostBundle) bool) *logpb.HostBundle {
	t.Helper()
	var last *logpb.HostBundle
	agenttest.Eventually(t, func() bool {
		for _, hb := range node.Report(hostOf(node)) {
			if last = hb; hb.GetName() == "base" && is(hb) {
				return true
			}
		}
		return false
	}, "the host says "+what)
	return last
}

func holds(text string) func(*logpb.HostBundle) bool {
	sum := bundles.Sum([]bundles.File{file(text)})
	return func(hb *logpb.HostBundle) bool {
		return string(hb.GetRunning()) == string(sum[:]) && hb.GetError() == ""
	}
}

// Delivered rules heal with the host's own remedies, outlast a restart without a controller, and go when they are no
// longer wanted. What of them the host has no service for is not there.
func TestDeliveredRules(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	node, block := newNode(t)
	h.configure(silent + block)
	a := h.start(nil)
	a.line(t)
	node.Deliver("base", 1, file(heals))
	hb := said(t, node, "that it runs the bundle", holds(heals))
	if len(hb.GetAbsent()) != 1 || hb.GetAbsent()[0] != "elsewhere" || len(hb.GetShadowed()) != 0 {
		t.Errorf("it says %v", hb)
	}
	h.crash("web.service")
	if in := a.ended("web"); in.GetSummary().GetEnd() != "again healed it" {
		t.Errorf("the incident: %v", in.GetSummary())
	}
	b := a.status().GetConfiguration().GetBundles()
	if len(b) != 1 || b[0].GetRules() != 1 || b[0].GetProblem() != "" || len(b[0].GetDigest()) != 64 {
		t.Errorf("the status says %v", b)
	}
	a.stop()

	node.Down(true)
	a = h.start(nil)
	if s := a.status(); s.GetRules() != 1 || len(s.GetConfiguration().GetBundles()) != 1 {
		t.Errorf("without a controller there are %d rules, %v", s.GetRules(), s.GetConfiguration().GetBundles())
	}
	node.Deliver("base", 1)
	node.Down(false)
	agenttest.Eventually(t, func() bool { return a.status().GetRules() == 0 }, "the rules are gone")
	if kept, err := delivery.Read(h.file("state") + "/" + delivery.FileName); err != nil || len(kept) != 0 {
		t.Errorf("on the disk there are %v, %v", kept, err)
	}
}

// A controller that is not ours any more gets nothing more of a host than the choice among its remedies: what else it
// sends is refused, and what held before holds.
func TestHostileBundles(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	node, block := newNode(t)
	h.configure(silent + block)
	a := h.start(nil)
	a.line(t)
	node.Deliver("base", 1, file(heals))
	said(t, node, "that it runs the bundle", holds(heals))
	for text, why := range map[string]string{
		`remedy "exec" "x" { command = ["/bin/sh"] }`:   `bundle base/a.hcl:13:1: error: Not here; The block "remedy" cannot stand in a bundle`,
		`allow { units = ["*"] }`:                       `The block "allow" cannot stand`,
		`notifier "exec" "x" { command = ["/bin/sh"] }`: `The block "notifier" cannot stand`,
		`service "ssh" { unit = "ssh.service" }`:        `The block "service" cannot stand`,
		`context "x" { file = "/etc/shadow" }`:          `The block "context" cannot stand`,
		`controller { addresses = ["192.0.2.1:7600"] }`: `The block "controller" cannot stand`,
		`autonomy = "full"`:                             `"autonomy" cannot be set`,
		"rule \"x\" {\n unit = \"ssh.service\"\n services = [\"web\"]\n when = unit.failed\n try = [\"again\"]\n}": "No allow block permits",
	} {
		bad := heals + text
		node.Deliver("base", 2, file(bad))
		hb := said(t, node, "that it refuses "+text, func(hb *logpb.HostBundle) bool {
			sum := bundles.Sum([]bundles.File{file(bad)})
			return hb.GetRefused() && string(hb.GetWanted()) == string(sum[:])
		})
		sum := bundles.Sum([]bundles.File{file(heals)})
		if !strings.Contains(hb.GetError(), why) || string(hb.GetRunning()) != string(sum[:]) {
			t.Errorf("%s: it says %v, want %q and that the former runs", text, hb, why)
		}
	}
	node.Forge(func(files []*logpb.BundleFile) { files[0].Text = heals }) // under the digest of another text
	node.Deliver("other", 1, bundles.File{Name: "../../agent.hcl", Text: heals})
	node.Cut()
	agenttest.Eventually(t, func() bool {
		r := node.Report(hostOf(node))
		return len(r) == 2 && strings.Contains(r[1].GetError(), `"../../agent.hcl" is no name of a file`)
	}, "the host refuses a file outside")
	if s := a.status(); s.GetRules() != 1 {
		t.Errorf("%d rules hold", s.GetRules())
	}
}

// The host's own files win, also when they change: a rule of theirs takes the place of the delivered one, and files that
// leave no room for a bundle keep it out without being refused themselves.
func TestHostFilesWin(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	node, block := newNode(t)
	h.configure(silent + block)
	a := h.start(nil)
	a.line(t)
	node.Deliver("base", 1, file(heals))
	said(t, node, "that it runs the bundle", holds(heals))
	h.configure(strings.Replace(web, "web-down", "delivered", 1) + block)
	if _, err := a.Reload(t.Context(), &localpb.ReloadRequest{}); err != nil {
		t.Fatal(err)
	}
	hb := said(t, node, "that its own rule wins", func(hb *logpb.HostBundle) bool { return len(hb.GetShadowed()) == 1 })
	if hb.GetShadowed()[0] != "delivered" || hb.GetError() != "" {
		t.Errorf("it says %v", hb)
	}
	h.configure(strings.NewReplacer(`"again"`, `"mend"`).Replace(silent) + block)
	if _, err := a.Reload(t.Context(), &localpb.ReloadRequest{}); err != nil {
		t.Fatal(err)
	}
	hb = said(t, node, "that the bundle does not load any more", func(hb *logpb.HostBundle) bool { return hb.GetRefused() })
	if len(hb.GetRunning()) != 0 || !strings.Contains(hb.GetError(), `have no remedy "again"`) {
		t.Errorf("it says %v", hb)
	}
	a.stop()
	a = h.start(nil) // it does not keep the agent from starting
	h.configure(silent + block)
	if _, err := a.Reload(t.Context(), &localpb.ReloadRequest{}); err != nil {
		t.Fatal(err)
	}
	said(t, node, "that it runs the bundle again", holds(heals))
}

// A bundle that cannot be kept does not hold, for it would be gone after a restart; it comes once there is room. A
// damaged file of bundles costs their rules until the controller gives them anew.
func TestBundlesAndTheDisk(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	node, block := newNode(t)
	h.configure(silent + block)
	path := h.file("state") + "/" + delivery.FileName
	a := h.start(nil)
	a.line(t)
	if err := os.MkdirAll(path+"/in the way", 0o700); err != nil { // no file takes its place
		t.Fatal(err)
	}
	node.Deliver("base", 1, file(heals))
	hb := said(t, node, "that it cannot keep the bundle", func(hb *logpb.HostBundle) bool { return hb.GetError() != "" })
	if hb.GetRefused() || len(hb.GetRunning()) != 0 || !strings.Contains(hb.GetError(), "keep bundles on the disk") ||
		a.status().GetRules() != 0 {
		t.Errorf("it says %v with %d rules", hb, a.status().GetRules())
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	node.Cut() // the next session is a reason to try again
	said(t, node, "that it runs the bundle", holds(heals))
	a.stop()
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	a = h.start(nil)
	said(t, node, "that it runs the bundle again", holds(heals))
	if a.status().GetRules() != 1 {
		t.Error("the rule does not hold")
	}
}
