package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/salveops/salve/packaging/lab/rig"
)

// world is everything that an agent knows when it starts: it is alone, its state folder is empty, its metrics are served.
type world struct {
	units    []string // that it may start and restart
	settings string   // more lines of agent.hcl
	rules    string
}

// write puts the configuration into dir.
func (w world) write(dir, metrics string) error {
	for name, text := range map[string]string{"agent.hcl": w.config(dir, metrics), "rules.d/bench.hcl": w.rules} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (w world) config(dir, metrics string) string {
	units := make([]string, len(w.units))
	for i, u := range w.units {
		units[i] = strconv.Quote(u)
	}
	return fmt.Sprintf(`host     = "bench"
autonomy = "full"
per_hour = 1000
data     = "%[1]s/data"
socket   = "%[1]s/agent.sock"
metrics  = "%[2]s"
rules    = "%[1]s/rules.d"
%[4]s
allow {
  units   = [%[3]s]
  actions = ["start", "restart"]
}
`, dir, metrics, strings.Join(units, ", "), w.settings)
}

// start runs the agent as it is shipped in dir. What it logs is in logOf(dir).
func (w world) start(ctx context.Context, binary, systemd, dir string) (*rig.Agent, error) {
	metrics, err := rig.FreePorts(1)
	if err != nil {
		return nil, err
	}
	if err := w.write(dir, metrics[0]); err != nil {
		return nil, err
	}
	return rig.StartAgent(ctx, rig.AgentOptions{
		Binary:  binary,
		Config:  filepath.Join(dir, "agent.hcl"),
		Systemd: systemd,
		Socket:  filepath.Join(dir, "agent.sock"),
		Log:     logOf(dir),
	})
}

// logOf is the file that takes what a program of this bench writes.
func logOf(dir string) string { return filepath.Join(dir, "log") }
