package notify

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/defaults"
	pkgnotify "github.com/salveops/salve/pkg/notify"
)

// PlacesOf are the places of a node's file. Errors are about its notifiers.
func PlacesOf(f *config.ControllerFile, d pkgnotify.Deps, log hclog.Logger) (Places, error) {
	p := Places{Senders: make(map[string]pkgnotify.Sender, len(f.Notifiers))}
	for _, n := range f.Notifiers {
		s, err := pkgnotify.New(n, d)
		if err != nil {
			return Places{}, fmt.Errorf("make notifiers: %w", err)
		}
		p.Senders[n.ID()] = s
	}
	p.Pagers = pagers(f.Escalations, p.Senders)
	if h := f.Heartbeat; h != nil {
		p.Heartbeat = pkgnotify.Heartbeat{URL: h.URL, Every: h.Every, Log: log}
	}
	return p, nil
}

// pagers are whom to tell that there is no quorum: everybody of the default escalation, at once, because there are
// no steps without a log; without such an escalation every notifier there is.
func pagers(escalations []*config.Escalation, senders map[string]pkgnotify.Sender) []string {
	var out []string
	for _, e := range escalations {
		if e.Name != defaults.EscalateTo {
			continue
		}
		for _, step := range e.Steps {
			out = append(out, step.Notify...)
		}
	}
	if len(out) == 0 {
		out = slices.Collect(maps.Keys(senders))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
