package agent

import (
	"errors"
	"fmt"
	"io"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/owned"
	"github.com/salveops/salve/agent/internal/polkit"
	"github.com/salveops/salve/pkg/config"
)

// PolkitRules makes the rules by which polkit lets the agent's user manage the units of the allow blocks, and no
// others. With a file it puts them there, which is root's business: the configuration must then be one that only
// root can change. Else it prints them.
func PolkitRules(o Options, file string, out io.Writer) error {
	if o.ConfigFile == "" || o.Log == nil {
		return errors.New("options ConfigFile and Log are required") // and no others: there is no clock in its sandbox
	}
	if file != "" {
		if err := owned.Way(o.ConfigFile); err != nil {
			return fmt.Errorf("configuration refused: %w", err)
		}
	}
	// Secrets and programs belong to the agent, which looks at them itself.
	cfg, diags := config.LoadAgent(o.ConfigFile, config.LoadOptions{Offline: true})
	if diags.HasErrors() {
		return errors.New("configuration refused: " + problems(diags))
	}
	text, err := polkit.Rules(cfg.Allow, act.Protected())
	if err != nil {
		return err
	}
	if file == "" {
		_, err := io.WriteString(out, text)
		return err
	}
	if err = polkit.Write(file, text); errors.Is(err, polkit.ErrNoPolkit) {
		o.Log.Warn("no rules written", "reason", err)
		return nil // so that an agent that only watches can be reloaded
	}
	return err
}
