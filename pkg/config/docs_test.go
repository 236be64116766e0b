package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocumentedAnomaly loads the rule that the page about anomaly() shows.
func TestDocumentedAnomaly(t *testing.T) {
	page, err := os.ReadFile("../../docs/anomaly.md")
	check(t, err)
	_, after, _ := strings.Cut(string(page), "```hcl\n")
	example, _, found := strings.Cut(after, "```")
	if !found {
		t.Fatal("the page shows no rule")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "agent.hcl"), []byte(`
autonomy = "full"
allow {
  units   = ["checkout.service"]
  actions = ["restart"]
}
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
service "checkout" {
  probe "health" { http = "http://127.0.0.1:8080/" }
  remedy "restart" "restart-app" {}
}
`+example))
	a, diags := LoadAgent(filepath.Join(dir, "agent.hcl"), LoadOptions{Host: "h", Offline: true})
	for _, d := range diags {
		t.Error(Line(d))
	}
	if a == nil || len(a.Rules) != 1 || a.Rules[0].Name != "slow" {
		t.Errorf("loaded: %+v", a)
	}
}

// TestDocumentedContexts loads what the page about contexts shows.
func TestDocumentedContexts(t *testing.T) {
	page, err := os.ReadFile("../../docs/contexts.md")
	check(t, err)
	_, after, _ := strings.Cut(string(page), "```hcl\n")
	example, _, _ := strings.Cut(after, "```")
	path := filepath.Join(t.TempDir(), "agent.hcl")
	write(t, path, []byte(example))
	a, diags := LoadAgent(path, LoadOptions{Host: "h"})
	if a == nil || len(a.Contexts) != 2 {
		t.Errorf("loaded: %+v, %v", a, diags)
	}
}
