package unit

import (
	"context"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/glob"
)

// protected are the units without which Salve can neither act nor be heard.
var protected = []string{
	"salve-agent.*", "salve-agent@*", "salve-agent-*", "salve-controller.*", "salve-limit-*",
	"dbus.service", "dbus.socket", "dbus-broker.service", "polkit.service",
	"systemd-journald*", "init.scope", "-.slice", "-.mount",
}

// Protected are patterns of units that no action touches, for those who tell polkit.
func Protected() []string { return slices.Clone(protected) }

// Unprotected refuses what would hit Salve's own alert path: its units, what it needs, and whatever
// it runs in itself.
func (k Units) Unprotected(ctx context.Context, u systemd.Unit) error {
	for _, list := range [][]string{protected, k.Protected} {
		for _, pattern := range list {
			if glob.Match(pattern, u.Name) {
				return kind.Refuse("%s is protected: Salve needs it itself", u.Name)
			}
		}
	}
	own := k.self.group
	if own == "" {
		return nil
	}
	if u.Name == path.Base(own) || Inside(own, u.ControlGroup) {
		return kind.Refuse("%s is protected: this agent runs in it", u.Name)
	}
	needs, err := k.needs(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(needs, u.Name) {
		return kind.Refuse("%s is protected: the unit of this agent requires it", u.Name)
	}
	return nil
}

// self is this agent as systemd sees it.
type self struct {
	group string // control group of this process in systemd's own hierarchy; "" if that cannot be known

	mu       sync.Mutex
	required []string // what this agent's own unit requires; nil: not asked yet
}

// needs are the units that this agent's own unit cannot do without; none when it does not run as one.
// They are asked for once: they change only together with Salve's own unit file.
func (k Units) needs(ctx context.Context) ([]string, error) {
	k.self.mu.Lock()
	defer k.self.mu.Unlock()
	if k.self.required != nil || !strings.HasSuffix(k.self.group, ".service") {
		return k.self.required, nil
	}
	u, err := k.Systemd.Read(ctx, path.Base(k.self.group))
	if err != nil {
		return nil, kind.Unknown("what this agent's own unit requires", err)
	}
	k.self.required = slices.Concat([]string{}, u.Requires, u.BindsTo)
	return k.self.required, nil
}

// GroupOf is the control group of a process in systemd's own hierarchy, "" if it cannot be known; pid is a number or "self".
func GroupOf(pid string) string {
	text, err := os.ReadFile(path.Join("/proc", pid, "cgroup"))
	if err != nil {
		return ""
	}
	var group string
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controller, where, ok := strings.Cut(rest, ":")
		if ok && (controller == "name=systemd" || controller == "" && group == "") {
			group = where
		}
	}
	return strings.TrimSuffix(group, "/")
}

// Inside reports whether group is top or lies below it. Nothing lies in the empty group: a unit that
// never ran has none.
func Inside(group, top string) bool {
	return top != "" && top != "/" && (group == top || strings.HasPrefix(group, top+"/"))
}
