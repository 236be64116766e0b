package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const shipped = "../../configs"

// TestShipped loads the configuration that the packages install, as it is: without a warning.
func TestShipped(t *testing.T) {
	a, diags := LoadAgent(filepath.Join(shipped, "agent.hcl"), LoadOptions{})
	for _, d := range diags {
		t.Error(Line(d))
	}
	if a == nil {
		t.FailNow()
	}
	if a.Autonomy != Observe {
		t.Errorf("what is installed must not act on its own, but autonomy is %q", a.Autonomy)
	}
	files, err := filepath.Glob(shipped + "/rules.d/*.hcl")
	if err != nil || len(a.Files) != len(files)+1 {
		t.Errorf("read %v, there are %v (%v)", a.Files, files, err)
	}
}

// TestShippedInEarnest loads it as an operator would who lets it act, with what stands in comments.
func TestShippedInEarnest(t *testing.T) {
	dir := t.TempDir()
	src, err := os.ReadFile(shipped + "/agent.hcl")
	check(t, err)
	text := strings.Replace(string(src), `autonomy = "observe"`, `autonomy = "full"`, 1)
	write(t, filepath.Join(dir, "agent.hcl"), []byte(uncomment(text)))
	files, err := filepath.Glob(shipped + "/rules.d/*.hcl")
	check(t, err)
	for _, f := range files {
		rules, err := os.ReadFile(f)
		check(t, err)
		write(t, filepath.Join(dir, "rules.d", filepath.Base(f)), rules)
	}
	a, diags := LoadAgent(filepath.Join(dir, "agent.hcl"), LoadOptions{Offline: true})
	for _, d := range diags {
		t.Error(Line(d))
	}
	if a == nil || len(a.Notifiers) != 7 || a.Heartbeat == nil || a.Controller == nil || len(a.Windows) != 1 ||
		len(a.Allow) != 4 {
		t.Errorf("not everything in comments was read: %+v", a)
	}
}

// TestShippedController loads the node's file as it is installed: one node on loopback, without a warning.
func TestShippedController(t *testing.T) {
	c, diags := LoadController(filepath.Join(shipped, controllerFile), LoadOptions{Host: "ctl-1"})
	for _, d := range diags {
		t.Error(Line(d))
	}
	if c == nil {
		t.FailNow()
	}
	if len(c.Raft.Peers) != 1 || c.Raft.BootstrapExpect != 1 || len(c.Services) != 0 {
		t.Errorf("what is installed is one node that knows no service: %s", dump(c))
	}
}

// TestShippedControllerInEarnest loads it with what stands in comments.
func TestShippedControllerInEarnest(t *testing.T) {
	src, err := os.ReadFile(shipped + "/" + controllerFile)
	check(t, err)
	path := filepath.Join(t.TempDir(), controllerFile)
	write(t, path, []byte(uncomment(string(src))))
	c, diags := LoadController(path, LoadOptions{Offline: true})
	for _, d := range diags {
		t.Error(Line(d))
	}
	if c == nil || len(c.Raft.Peers) != 3 || len(c.Services) != 2 || len(c.Notifiers) != 6 || len(c.Escalations) != 2 ||
		len(c.Windows) != 1 || c.Heartbeat == nil || c.Breaker.Share != 0.3 || c.FleetMax == 0 {
		t.Errorf("not everything in comments was read: %+v", c)
	}
}

// uncomment turns commented configuration into configuration; prose stays a comment.
func uncomment(src string) string {
	var b strings.Builder
	for line := range strings.Lines(src) {
		code := strings.TrimPrefix(strings.TrimLeft(line, " "), "# ")
		word := strings.TrimSpace(code)
		if code != line && (strings.HasSuffix(word, "{") || word == "}" || strings.Contains(code, " = ")) &&
			!strings.HasPrefix(word, "Begin") && !strings.HasPrefix(word, "configuration is") {
			line = code
		}
		b.WriteString(line)
	}
	return b.String()
}

// TestShippedIsFormatted: the files are documentation too, and stand as `salve fmt` would leave them.
func TestShippedIsFormatted(t *testing.T) {
	files, err := filepath.Glob(shipped + "/*/*.hcl")
	check(t, err)
	for _, f := range append(files, shipped+"/"+agentFile, shipped+"/"+controllerFile) {
		src, err := os.ReadFile(f)
		check(t, err)
		out, diags := Format(src)
		if diags.HasErrors() {
			t.Errorf("%s: %v", f, diags)
		}
		if diff := cmp.Diff(string(out), string(src)); diff != "" {
			t.Errorf("%s (-formatted +file):\n%s", f, diff)
		}
	}
}

// TestDocs loads the examples of the docs, each with what the rest of the file would say, without a warning.
func TestDocs(t *testing.T) {
	for _, doc := range []string{"probes.md", "pools.md", "circuits.md", "groups.md", "slo.md", "changes.md", "otlp.md"} {
		src, err := os.ReadFile("../../docs/" + doc)
		check(t, err)
		blocks := strings.Split(string(src), "```hcl\n")[1:]
		if len(blocks) == 0 {
			t.Errorf("%s has no example", doc)
		}
		for i, block := range blocks {
			example, _, _ := strings.Cut(block, "```")
			path := filepath.Join(t.TempDir(), "agent.hcl")
			write(t, path, []byte("notifier \"journald\" \"log\" {}\nescalation \"default\" {\n  step { notify = [\"journald.log\"] }\n}\n"+example))
			_, diags := LoadAgent(path, LoadOptions{Offline: true})
			for _, d := range diags {
				t.Errorf("%s, example %d: %s", doc, i+1, Line(d))
			}
		}
	}
}
