package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/salveops/salve/agent/internal/heal"
	"github.com/salveops/salve/agent/internal/helper"
)

// leave says what systemd will let the agent do; nil for root, and with a systemd that asks nobody.
func (a *agent) leave() func(unit string, verbs []string) heal.Leave {
	if a.o.Systemd != "system" || os.Geteuid() == 0 {
		return nil
	}
	return func(unit string, verbs []string) heal.Leave { return leaveBy(helper.ListFile, unit, verbs) }
}

// leaveBy goes by the list that root made for the helper. polkit's rules, which the agent may not read, come from the same
// hand at the same time, and say the same; whether polkit takes them, only an action shows.
func leaveBy(file, unit string, verbs []string) heal.Leave {
	list, err := helper.ReadList(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return heal.Leave{Unknown: file + ", which root makes together with polkit's rules, is not there"}
	case err != nil:
		return heal.Leave{Unknown: err.Error()}
	}
	for _, verb := range verbs {
		if !list.Permits(unit, verb) {
			return heal.Leave{Refused: fmt.Sprintf("%s on %s", verb, unit)}
		}
	}
	return heal.Leave{}
}
