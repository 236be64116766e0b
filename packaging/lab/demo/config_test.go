package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/agenttest"
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

// What the second act ships is what the loaders of both programs take.
func TestShippedFleet(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pager.key"), []byte("key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const addr = "127.0.0.1:7600"
	values := map[string]string{
		"DIR": dir, "GRPC": addr, "RAFT": "127.0.0.1:7601", "HTTP": "127.0.0.1:7602", "PAGER": addr, "HOST": "web-1", "METRICS": addr,
		"CONTROLLER": addr, "PAGERKEY": filepath.Join(dir, "pager.key"), "UNIT": "shop.service", "SHOP": addr,
	}
	for _, from := range []string{"fleet/controller", "fleet/host"} {
		if err := ship(from, dir, values, func(name string) string { return name }); err != nil {
			t.Fatal(err)
		}
	}
	controller, diags := config.LoadController(filepath.Join(dir, "controller.hcl"), config.LoadOptions{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if len(controller.Services) != 1 || controller.Services[0].Name != "shop" || controller.Services[0].MaxUnavailable.Hosts != 1 {
		t.Errorf("services of the controller are %+v", controller.Services)
	}
	agent, diags := config.LoadAgent(filepath.Join(dir, "agent.hcl"), config.LoadOptions{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if agent.Service("shop") == nil {
		t.Error("the agent has no shop")
	}
	info, err := os.Stat(filepath.Join(dir, "hooks", "warm-up"))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("warm-up: %v, %v", info, err)
	}
}

// What the third act ships is what the agent's loader takes, with the remedies that its story waits for, with a pool
// and without.
func TestShippedGolden(t *testing.T) {
	const addr = "127.0.0.1:8080"
	for _, pool := range []*agenttest.Pool{{}, nil} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "pager.key"), []byte("key\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := ship("golden", dir, map[string]string{"DIR": dir, "METRICS": addr, "PAGER": addr, "UNIT": "shop.service",
			"CHECKOUT": addr, "PGBOUNCER": dir + "/.s.PGSQL.6432", "DATABASE": "checkout"}, sameName); err != nil {
			t.Fatal(err)
		}
		if pool == nil {
			if err := tryOnlyRestart(filepath.Join(dir, "rules.d/checkout.hcl")); err != nil {
				t.Fatal(err)
			}
		}
		agent, diags := config.LoadAgent(filepath.Join(dir, "agent.hcl"), config.LoadOptions{})
		if len(diags) > 0 {
			t.Fatal(diags)
		}
		var try []string
		for _, a := range (&golden{pool: pool}).story().want.attempts {
			try = append(try, a.remedy)
		}
		rule := agent.Rule("high-error-rate-with-latency")
		if rule == nil || strings.Join(rule.Try, " ") != strings.Join(try, " ") {
			t.Errorf("the rule is %+v, the story waits for %v", rule, try)
		}
	}
}

// The files are documentation too: they stand as `salve fmt` would leave them.
func TestShippedConfigIsFormatted(t *testing.T) {
	files := 0
	err := fs.WalkDir(shipped, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".hcl" {
			return err
		}
		files++
		src, err := shipped.ReadFile(path)
		if err != nil {
			return err
		}
		out, diags := config.Format(src)
		if diags.HasErrors() {
			t.Errorf("%s: %v", path, diags)
		}
		if diff := cmp.Diff(string(out), string(src)); diff != "" {
			t.Errorf("%s (-formatted +file):\n%s", path, diff)
		}
		return nil
	})
	if err != nil || files != 19 {
		t.Errorf("%d files, want nineteen; %v", files, err)
	}
}
