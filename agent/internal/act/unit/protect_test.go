package unit

import (
	"strings"
	"testing"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/systemd"
)

// No remedy touches what the agent itself runs in, by name or by control group.
func TestOwnGroup(t *testing.T) {
	k := Units{Host: &kind.Host{}, self: &self{group: "/sys/app.slice/salve.scope"}}
	for _, u := range []systemd.Unit{
		{Name: "salve.scope", ControlGroup: "/sys/app.slice/salve.scope"},
		{Name: "app.slice", ControlGroup: "/sys/app.slice"},
		{Name: "salve.scope"},
	} {
		if err := k.Unprotected(t.Context(), u); err == nil || !strings.Contains(err.Error(), "this agent runs in it") {
			t.Errorf("%s: %v", u.Name, err)
		}
	}
	for _, u := range []systemd.Unit{
		{Name: "a.service", ControlGroup: "/sys/app.slice/a.service"}, {Name: "app.sli", ControlGroup: "/sys/app.sli"}, {Name: "b.service"},
	} {
		if err := k.Unprotected(t.Context(), u); err != nil {
			t.Errorf("%s: %v", u.Name, err)
		}
	}
}
