package notify

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/config"
	pkgnotify "github.com/salveops/salve/pkg/notify"
)

// The places come from the node's own file: pages without a log go to everybody of the default escalation.
func TestPlacesOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "controller.hcl")
	file := `
node = "ctl-1"
notifier "webhook" "chat" { url = "http://127.0.0.1:1/chat" }
notifier "email" "me" { to = "ops@example.org" }
notifier "journald" "quiet" {}
escalation "default" {
  step { notify = ["webhook.chat"] }
  step {
    after  = "5m"
    notify = ["email.me", "webhook.chat"]
  }
}
heartbeat { url = "http://127.0.0.1:1/alive" }
`
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	f, diags := config.LoadController(path, config.LoadOptions{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	p, err := PlacesOf(f, pkgnotify.Deps{Host: "ctl-1"}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Senders) != 3 || !slices.Equal(p.Pagers, []string{"email.me", "webhook.chat"}) {
		t.Errorf("senders %v, pagers %q", p.Senders, p.Pagers)
	}
	if p.Heartbeat.URL != "http://127.0.0.1:1/alive" || p.Heartbeat.Every > time.Hour {
		t.Errorf("heartbeat %+v", p.Heartbeat)
	}
	if got := pagers(nil, p.Senders); !slices.Equal(got, []string{"email.me", "journald.quiet", "webhook.chat"}) {
		t.Errorf("without an escalation: %q", got)
	}
}
