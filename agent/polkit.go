package agent

import (
	"errors"
	"fmt"
	"io"

	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/owned"
	"github.com/salveops/salve/agent/internal/polkit"
	"github.com/salveops/salve/pkg/config"
)

// PolkitOptions say where what the agent may do is written.
type PolkitOptions struct {
	Rules  string    // file for polkit; "": the rules are printed
	Helper string    // file for the helper, with Rules; "": none
	Out    io.Writer // for printing
}

// PolkitRules makes the rules by which polkit lets the agent's user manage the units of the allow blocks, and no
// others, and the helper's list, which says the same. Putting them into files is root's business: the configuration
// must then be one that only root can change.
func PolkitRules(o Options, to PolkitOptions) error {
	if o.ConfigFile == "" || o.Log == nil {
		return errors.New("options ConfigFile and Log are required") // and no others: there is no clock in its sandbox
	}
	if to.Rules != "" {
		if err := owned.Way(o.ConfigFile); err != nil {
			return fmt.Errorf("configuration refused: %w", err)
		}
	}
	// Secrets and programs belong to the agent, which looks at them itself.
	cfg, diags := config.LoadAgent(o.ConfigFile, config.LoadOptions{Offline: true})
	if diags.HasErrors() {
		return errors.New("configuration refused: " + problems(diags))
	}
	text, err := polkit.Rules(cfg.Allow, unit.Protected())
	if err != nil {
		return err
	}
	if to.Rules == "" {
		_, err := io.WriteString(to.Out, text)
		return err
	}
	if to.Helper != "" {
		list, err := polkit.List(cfg.Allow, unit.Protected())
		if err != nil {
			return err
		}
		if err := polkit.Put(to.Helper, list); err != nil {
			return err
		}
	}
	if err = polkit.Write(to.Rules, text); errors.Is(err, polkit.ErrNoPolkit) {
		o.Log.Warn("no rules written", "reason", err)
		return nil // so that an agent that only watches, or that has the helper, can be reloaded
	}
	return err
}
