package config

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/bundle"
)

// bundled is a bundle of one file.
func bundled(text string) *Bundle {
	return &Bundle{Name: "base", Files: []bundle.File{{Name: "a.hcl", Text: text}}}
}

const full = `
rule "full" {
  when = host.memory.available_ratio < 5 * percent
}
`

// TestCheckBundle: what could give a controller more of a host than the choice among its own remedies is refused, with
// its place; so is what makes no sense whatever the host is.
func TestCheckBundle(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"good":       {full, ""},
		"remedy":     {full + `remedy "restart" "again" {}`, `bundle base/a.hcl:5:1: error: Not here; The block "remedy" cannot stand`},
		"service":    {full + `service "web" {}`, `a.hcl:5:1: error: Not here; The block "service"`},
		"context":    {full + `context "x" {}`, `The block "context"`},
		"log":        {full + `log "x" {}`, `The block "log"`},
		"window":     {full + `window "x" {}`, `The block "window"`},
		"allow":      {full + `allow {}`, `The block "allow"`},
		"notifier":   {full + `notifier "exec" "x" {}`, `The block "notifier"`},
		"escalation": {full + `escalation "x" {}`, `The block "escalation"`},
		"heartbeat":  {full + `heartbeat {}`, `The block "heartbeat"`},
		"controller": {full + `controller {}`, `The block "controller"`},
		"tls":        {full + `tls {}`, `The block "tls"`},
		"autonomy":   {full + `autonomy = "full"`, `a.hcl:5:1: error: Not here; "autonomy" cannot be set in a bundle`},
		"labels":     {full + `labels = {}`, `"labels" cannot be set`},
		"per_hour":   {full + `per_hour = 1000`, `"per_hour" cannot be set`},
		"unknown":    {full + `rules "x" {}`, `a.hcl:5:1: error: Unknown block`},
		"own rule":   {`rule "unit-failed" { when = unit.failed }`, `a.hcl:1:6: error: Wrong name`},
		"twice":      {full + full, `a.hcl:6:6: error: Duplicate rule`},
		"no rules":   {`threshold "x" { default = 1 }`, `It holds 0 rules`},
		"too many":   {manyRules(251), `It holds 251 rules; a bundle has from 1 to 250`},
		"broken":     {"rule {", "a.hcl:1:"},
		"bad key":    {`rule "x" { wen = 1 }`, `Unknown key; "wen" is not a key of rule "x". Did you mean "when"?`},
	} {
		rules, diags := CheckBundle(bundled(c.text))
		if diags.HasErrors() != (c.want != "") || (rules == nil) != (c.want != "") || !strings.Contains(lines(diags), c.want) {
			t.Errorf("%s: want %q in\n%s", name, c.want, lines(diags))
		}
	}
	if _, diags := CheckBundle(&Bundle{Name: "base"}); !strings.Contains(lines(diags), "a bundle without files") {
		t.Error(lines(diags))
	}
}

// Every block that a configuration knows is either let in on purpose or refused with a reason: a new one is not let in
// because nobody thought of it.
func TestBundleKnowsEveryBlock(t *testing.T) {
	ks := agentKinds()
	for _, name := range ks["agent"].blocks {
		refused := slices.ContainsFunc(ks["bundle"].refuse, func(r refusal) bool { return r.block && r.name == name && r.why != "" })
		if may := slices.Contains([]string{"rule", "threshold", "test"}, name); may == refused {
			t.Errorf("%s: let in %t, refused %t", name, may, refused)
		}
	}
	for _, a := range ks["agent"].attrs {
		if !slices.ContainsFunc(ks["bundle"].refuse, func(r refusal) bool { return !r.block && r.name == a.name }) {
			t.Errorf("%s is not refused", a.name)
		}
	}
}

func manyRules(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "rule \"r%d\" { when = unit.failed }\n", i)
	}
	return b.String()
}

func lines(diags hcl.Diagnostics) string {
	var b strings.Builder
	for _, d := range diags {
		fmt.Fprintln(&b, Line(d))
	}
	return b.String()
}

const bundleHost = `
labels   = { role = "web" }
autonomy = "full"
allow {
  units   = ["web.service", "job.service"]
  actions = ["restart"]
}
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
service "web" {
  probe "health" { http = "http://127.0.0.1:1/" }
  remedy "restart" "again" {}
}
threshold "least" { default = 10 * percent }
rule "down" {
  services = ["web"]
  when     = unit.failed
  try      = ["again"]
}
`

func loadWith(t *testing.T, host string, bundles ...*Bundle) (*Agent, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.hcl")
	write(t, path, []byte(host))
	a, diags := LoadAgent(path, LoadOptions{Host: "h", Offline: true, Bundles: bundles})
	return a, strings.ReplaceAll(lines(diags), filepath.Dir(path)+"/", "")
}

// TestBundleOnHost: the host's own files win, a rule for what is not there is not there, and of two bundles the first
// wins.
func TestBundleOnHost(t *testing.T) {
	base := bundled(`
threshold "least" { default = 50 * percent }
threshold "most" { default = 90 * percent }
rule "low" { when = host.memory.available_ratio < threshold.least }
rule "busy" { when = host.cpu.busy > threshold.most }
rule "down" {
  services = ["web"]
  when     = unit.active
}
rule "slow" {
  services = ["web", "db"]
  when     = probe.health.latency > 1 * s
  try      = ["again"]
}
rule "locks" {
  services = ["db"]
  when     = metric.locks > 5
}
rule "job" {
  services = ["job"]
  when     = unit.failed
  try      = ["restart"]
}
test "busy" { series = {} }
`)
	second := bundled(`
threshold "most" { default = 1 * percent }
rule "busy" { when = host.cpu.busy > threshold.most }
rule "second" { when = host.cpu.busy > threshold.most }
`)
	second.Name = "other"
	a, said := loadWith(t, bundleHost, base, second)
	if said != "" || a == nil {
		t.Fatal(said)
	}
	want := []*Delivered{
		{Name: "base", Digest: bundle.Sum(base.Files), Rules: []string{"low", "busy", "slow", "job"},
			Shadowed: []string{"least", "down"}, Absent: []string{"locks"}},
		{Name: "other", Digest: bundle.Sum(second.Files), Rules: []string{"second"}, Shadowed: []string{"most", "busy"}},
	}
	if diff := cmp.Diff(want, a.Bundles); diff != "" {
		t.Errorf("bundles (-want +got):\n%s", diff)
	}
	if down := a.Rule("down"); down.Bundle != "" || !slices.Equal(down.Try, []string{"again"}) {
		t.Errorf("the host's own rule became %+v", down)
	}
	if r := a.Rule("slow"); r.Bundle != "base" || len(a.Candidates(r, a.Service("web"))) != 1 {
		t.Errorf("the delivered rule is %+v", r)
	}
	alone, said := loadWith(t, bundleHost)
	if said != "" || len(alone.Rules) != 2 || alone.Digest == a.Digest {
		t.Errorf("without bundles: %d rules, %s", len(alone.Rules), said)
	}
}

// TestBundleRefusedByHost: what makes no sense on this host, or tries what it does not permit, has its place.
func TestBundleRefusedByHost(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"remedy that is not there": {`rule "x" {
  services = ["web"]
  when     = unit.failed
  try      = ["wipe"]
}`, `bundle base/a.hcl:4:15: error: Unknown remedy; The services of this rule have no remedy "wipe".`},
		"source that is not there": {`rule "x" {
  services = ["web"]
  when     = metric.errors > 1
}`, `bundle base/a.hcl:3:14: error: `},
		"unit that is not allowed": {`rule "x" {
  services = ["web"]
  unit     = "sshd.service"
  when     = unit.failed
  try      = ["again"]
}`, `No allow block permits restart on the unit "sshd.service"`},
	} {
		if a, said := loadWith(t, bundleHost, bundled(c.text)); a != nil || !strings.Contains(said, c.want) {
			t.Errorf("%s: want %q in\n%s", name, c.want, said)
		}
	}
}

// A changed rule has another digest, one that only moved has not; a changed threshold may change every rule.
func TestBundleRuleDigests(t *testing.T) {
	of := func(text string) map[string][32]byte {
		rules, diags := CheckBundle(bundled(text))
		if diags.HasErrors() {
			t.Fatal(lines(diags))
		}
		out := map[string][32]byte{}
		for _, r := range rules {
			out[r.Name] = r.Digest
		}
		return out
	}
	const x = "rule \"x\" {\n  when = host.cpu.busy > threshold.t\n  escalate { after = \"1m\" }\n}\n"
	limit := func(v string) string { return "threshold \"t\" { default = " + v + " }\n" }
	was := of(limit("0.5") + x + full)
	moved := of(full + "\n# a remark\n" + x + limit("0.5"))
	if moved["x"] != was["x"] || moved["full"] != was["full"] {
		t.Error("what moved counts as changed")
	}
	for name, text := range map[string]string{
		"key": strings.Replace(x, "busy >", "busy >=", 1), "nested": strings.Replace(x, "1m", "2m", 1),
		"new key": strings.Replace(x, "when", "for = \"1s\"\n  when", 1),
	} {
		if now := of(limit("0.5") + text + full); now["x"] == was["x"] || now["full"] != was["full"] {
			t.Errorf("%s: the digests do not tell what changed", name)
		}
	}
	if now := of(limit("0.6") + x + full); now["x"] == was["x"] {
		t.Error("another threshold changes nothing")
	}
	other := func(v string) string { return strings.Replace(limit(v), `"t"`, `"u"`, 1) }
	if of(limit("0.9") + other("0.5") + x)["x"] == of(other("0.9") + limit("0.5") + x)["x"] {
		t.Error("two thresholds that change places change nothing")
	}
}

// FuzzCheckBundle: whatever a client or a controller sends, it is judged soon, without a panic; and what passes here
// gives a host no block of its own.
func FuzzCheckBundle(f *testing.F) {
	f.Add(full)
	f.Add("threshold \"t\" {\n  default = 1\n}\n" + full + "test \"t\" {\n  series = {}\n  at \"1s\" { firing = [] }\n}\n")
	f.Add("remedy \"exec\" \"x\" { command = [\"/bin/sh\"] }")
	f.Fuzz(func(t *testing.T, text string) {
		b := bundled(text)
		rules, diags := CheckBundle(b)
		if (len(rules) == 0) != diags.HasErrors() {
			t.Fatalf("%d rules with %v", len(rules), diags)
		}
		if err := Render(io.Discard, diags, true); err != nil {
			t.Fatal(err)
		}
		a, _ := loadWith(t, bundleHost, b)
		if a != nil && (len(a.Allow) != 1 || len(a.Services) != 2 || len(a.Remedies) != 0 || len(a.Notifiers) != 1 ||
			len(a.Contexts)+len(a.Logs)+len(a.Windows) != 0 || a.Rule("down").Bundle != "") {
			t.Fatalf("the bundle gave the host more than rules: %+v", a)
		}
	})
}
