package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/promql"
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

// TestDocumentedQueries loads what the page about queries shows, and takes its word for how far expressions look back.
func TestDocumentedQueries(t *testing.T) {
	page, err := os.ReadFile("../../docs/queries.md")
	check(t, err)
	_, after, _ := strings.Cut(string(page), "```hcl\n")
	example, rest, _ := strings.Cut(after, "```")
	dir := t.TempDir()
	path := filepath.Join(dir, "agent.hcl")
	write(t, path, []byte(example))
	a, diags := LoadAgent(path, LoadOptions{Host: "h", Offline: true})
	if a == nil || len(a.Queries) != 2 || a.Queries[0].Window != time.Minute || a.Queries[1].Window != time.Minute {
		t.Fatalf("loaded: %+v, %v", a, diags)
	}
	_, table, _ := strings.Cut(rest, "| expression | looks back |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	if len(rows) != 4 {
		t.Fatalf("the page has %d expressions", len(rows))
	}
	for _, row := range rows {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		far, err := promql.Reach(strings.Trim(cells[0], "`"))
		if got := defaults.Duration(far); err != nil || got != cells[1] {
			t.Errorf("%s: %s, %v", row, got, err)
		}
	}
	_, after, _ = strings.Cut(rest, "```hcl\n")
	fleet, after, _ := strings.Cut(after, "```")
	_, after, _ = strings.Cut(after, "```hcl\n")
	host, _, _ := strings.Cut(after, "```")
	write(t, filepath.Join(dir, controllerFile), []byte(fleet))
	c, diags := LoadController(filepath.Join(dir, controllerFile), LoadOptions{Host: "ctl-1", Offline: true})
	if c == nil || len(c.Queries) != 1 {
		t.Fatalf("loaded: %+v, %v", c, diags)
	}
	write(t, path, []byte(host+"controller { addresses = [\"127.0.0.1:7600\"] }\n"))
	if a, diags = LoadAgent(path, LoadOptions{Host: "h"}); a == nil || a.Queries[0].Window != c.Queries[0].Window {
		t.Errorf("loaded: %+v, %v", a, diags)
	}
}

// TestDocumentedCaches loads what the page about caches shows.
func TestDocumentedCaches(t *testing.T) {
	page, err := os.ReadFile("../../docs/caches.md")
	check(t, err)
	_, after, _ := strings.Cut(string(page), "```hcl\n")
	example, _, _ := strings.Cut(after, "```")
	path := filepath.Join(t.TempDir(), "agent.hcl")
	write(t, path, []byte(example))
	a, diags := LoadAgent(path, LoadOptions{Host: "h", Offline: true})
	if a == nil || len(a.Services[0].Caches) != 1 {
		t.Errorf("loaded: %+v, %v", a, diags)
	}
}
