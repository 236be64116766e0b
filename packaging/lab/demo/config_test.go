package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/config"
)

// values stand for what the stage fills in.
func values(dir string) map[string]string {
	v := map[string]string{"DIR": dir, "METRICS": "127.0.0.1:7610", "PAGER": "127.0.0.1:9"}
	for _, name := range cast {
		v[strings.ToUpper(name)] = "127.0.0.1:8080"
	}
	return v
}

// What the demo ships is what the agent's own loader takes, with every story's service, and with each
// remedy that a story waits for.
func TestShippedConfig(t *testing.T) {
	for _, quota := range []bool{true, false} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "pager.key"), []byte("key\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := writeConfig(dir, values(dir), quota); err != nil {
			t.Fatal(err)
		}
		agent, diags := config.LoadAgent(filepath.Join(dir, "agent.hcl"), config.LoadOptions{})
		if diags.HasErrors() {
			t.Fatalf("quota %v: %v", quota, diags)
		}
		for _, st := range (&stage{quota: quota}).stories() {
			service := agent.Service(st.service)
			if service == nil {
				t.Errorf("no service %s", st.service)
				continue
			}
			var names []string
			for _, r := range service.Remedies {
				names = append(names, r.Name)
			}
			var want []string
			for _, a := range st.want.attempts {
				want = append(want, a.remedy)
			}
			if strings.Join(names, " ") != strings.Join(want, " ") {
				t.Errorf("quota %v: %s has remedies %v, the story waits for %v", quota, st.service, names, want)
			}
		}
	}
}

func TestHooksCanRun(t *testing.T) {
	dir := t.TempDir()
	if err := writeConfig(dir, values(dir), true); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"drop-cache", "serve-stale"} {
		info, err := os.Stat(filepath.Join(dir, "hooks", name))
		if err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestFillRefuses(t *testing.T) {
	if _, err := fill("a @NOBODY@ b", nil); err == nil {
		t.Error("a placeholder without a value was left out")
	}
}

// The files are documentation too: they stand as `salve fmt` would leave them.
func TestShippedConfigIsFormatted(t *testing.T) {
	files, err := filepath.Glob("config/*.hcl")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := filepath.Glob("config/rules.d/*.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if files = append(files, rules...); len(files) != 9 {
		t.Errorf("%d files, want nine", len(files))
	}
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out, diags := config.Format(src)
		if diags.HasErrors() {
			t.Errorf("%s: %v", path, diags)
		}
		if diff := cmp.Diff(string(out), string(src)); diff != "" {
			t.Errorf("%s (-formatted +file):\n%s", path, diff)
		}
	}
}
