package agent

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/local"
)

// Of two agents on one state folder, or on one socket, the second says why it does not run, and the first
// goes on as if nothing had been.
func TestTwoAgents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(h *host, text string) string
		want   error
	}{
		"one state folder": {func(h *host, text string) string {
			return strings.Replace(text, h.file("agent.sock"), h.file("other.sock"), 1)
		}, journal.ErrLocked},
		"one socket": {func(h *host, text string) string {
			return strings.Replace(text, h.file("state"), h.file("other"), 1)
		}, local.ErrInUse},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newWeb(t)
			a := h.start(nil)
			text, err := os.ReadFile(h.file("agent.hcl"))
			if err != nil {
				t.Fatal(err)
			}
			second := h.write("second.hcl", c.change(h, string(text)), 0o600)
			b := h.launch(func(o *Options) { o.ConfigFile = second })
			<-b.done
			if !errors.Is(b.err, c.want) {
				t.Errorf("the second agent ended with %v, want %v", b.err, c.want)
			}
			h.crash("web.service")
			if in := a.ended("web"); in.GetSummary().GetEnd() != "again healed it" || len(in.GetAttempts()) != 1 {
				t.Errorf("the first agent's incident: %v", in.GetSummary())
			}
		})
	}
}
