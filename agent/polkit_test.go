package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/helper"
)

// TestPolkitRules: what root does at each start and reload of the agent.
func TestPolkitRules(t *testing.T) {
	dir := t.TempDir()
	config, file := filepath.Join(dir, "agent.hcl"), filepath.Join(dir, "40-salve-agent.rules")
	list := filepath.Join(dir, "allow")
	to := PolkitOptions{Rules: file, Helper: list}
	o := Options{ConfigFile: config, Log: hclog.NewNullLogger()}
	write := func(text string, mode os.FileMode) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(config, mode); err != nil {
			t.Fatal(err)
		}
	}
	const allow = "allow {\n  units   = [\"web.service\"]\n  actions = [\"restart\"]\n}\n"
	// A credential that only the agent's own unit has does not matter here.
	write(allow+"notifier \"slack\" \"a\" {\n  webhook_file = \"$CREDENTIALS_DIRECTORY/slack\"\n}\n", 0o644)
	if err := PolkitRules(o, to); err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(was), `/^web\.service$/, ["reset-failed", "restart"]`) {
		t.Errorf("the rules are %q, %v", was, err)
	}
	may, err := helper.ReadList(list)
	if err != nil || !may.Permits("web.service", "restart") || may.Permits("web.service", "stop") {
		t.Errorf("the helper's list is %+v, %v", may, err)
	}
	for _, unit := range []string{"salve-agent.service", "salve-agent-helper.socket", helper.Timer("web.service")} {
		if everything := (helper.List{Never: may.Never, May: []helper.Entry{{Pattern: "*", Verbs: []string{"stop"}}}}); everything.Permits(unit, "stop") {
			t.Errorf("the helper would stop %s", unit)
		}
	}
	var printed strings.Builder
	if err := PolkitRules(o, PolkitOptions{Out: &printed}); err != nil || printed.String() != string(was) {
		t.Errorf("printed %q, %v", printed.String(), err)
	}

	for _, c := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{"nonsense = 1\n" + allow, 0o644, "agent.hcl:1:1"},
		{"autonomy = \"full\"\n", 0o666, "chmod go-w"},
	} {
		write(c.text, c.mode)
		if err := PolkitRules(o, to); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("rules out of a configuration that is refused: %v", err)
		}
		if now, _ := os.ReadFile(file); string(now) != string(was) {
			t.Errorf("the rules changed to %q", now)
		}
	}

	write(allow, 0o644)
	if err := os.Remove(list); err != nil {
		t.Fatal(err)
	}
	if err := PolkitRules(o, PolkitOptions{Rules: filepath.Join(dir, "none", "x.rules"), Helper: list}); err != nil {
		t.Errorf("a host without polkit: %v", err)
	}
	if again, err := helper.ReadList(list); err != nil || !again.Permits("web.service", "restart") {
		t.Errorf("on a host without polkit the helper's list is %+v, %v", again, err)
	}
}
