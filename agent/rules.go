package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/agent/internal/delivery"
	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/agent/internal/session"
	"github.com/salveops/salve/pkg/config"
)

// buildDelivery takes up the bundles of rules that the controller gave. An agent that works alone has none.
func (a *agent) buildDelivery(context.Context) error {
	if a.cfg.Controller == nil {
		return nil
	}
	a.delivery = delivery.New(delivery.Options{Data: a.cfg.Data, Fetch: a.session.Fetch, Hold: a.hold, Report: a.session.Report,
		Log: a.log.Named("delivery")})
	if o := a.session.Orders(); o.Standing != nil {
		a.delivery.Order(o.GetBundles())
	}
	cfg, outcome, err := a.compose(a.delivery.Offers())
	if err != nil {
		return err
	}
	a.cfg = cfg
	a.systemd.Watch(patterns(cfg))
	a.delivery.Loaded(outcome)
	return nil
}

// offers are the bundles that a reload reads again.
func (a *agent) offers() []delivery.Offer {
	if a.delivery == nil {
		return nil
	}
	return a.delivery.Offers()
}

// follow takes standing orders.
func (a *agent) follow(ctx context.Context, o session.Orders) error {
	a.delivery.Order(o.GetBundles())
	return a.engine.Follow(ctx, o)
}

// lineChanged is told when a session with the controller begins or ends.
func (a *agent) lineChanged(live bool) {
	a.engine.LineChanged(live)
	a.delivery.Look()
}

// compose reads the host's files, and what of the offers loads beneath them, bundle by bundle: one that does not keeps no
// other one out, and never the files.
func (a *agent) compose(offers []delivery.Offer) (*config.Agent, delivery.Outcome, error) {
	out := delivery.Outcome{Refused: map[string]string{}}
	cfg, err := a.read(nil)
	if err != nil {
		return nil, out, err
	}
	for _, offer := range offers {
		for i, b := range offer {
			with, err := a.read(append(out.Held[:len(out.Held):len(out.Held)], b))
			if err == nil {
				cfg, out.Held = with, append(out.Held, b)
				break
			}
			if i == 0 {
				out.Refused[b.Name] = err.Error()
			}
		}
	}
	out.Delivered = cfg.Bundles
	return cfg, out, nil
}

// read reads the configuration with bundles. The error says the first problem, with its place.
func (a *agent) read(bundles []*config.Bundle) (*config.Agent, error) {
	cfg, diags := config.LoadAgent(a.o.ConfigFile, config.LoadOptions{Bundles: bundles})
	switch {
	case !diags.HasErrors():
		return cfg, nil
	case len(bundles) == 0:
		return nil, errors.New(problems(diags))
	}
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			return nil, errors.New(config.Line(d))
		}
	}
	return nil, diags
}

// hold has bundles hold, as a reload does: the host's files are read again, too.
func (a *agent) hold(ctx context.Context, offers []delivery.Offer, keep func(delivery.Outcome) error) error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	cfg, outcome, err := a.compose(offers)
	if err != nil {
		return fmt.Errorf("the host's own files do not load: %w", err)
	}
	if err := a.fixed(cfg); err != nil {
		return err
	}
	if err := keep(outcome); err != nil {
		return err
	}
	if err := a.swap(ctx, cfg); err != nil {
		return err
	}
	a.take(cfg, "the controller")
	return nil
}

// bundles are those that the controller wants, as people see them. The caller holds mu.
func (a *agent) bundles() []local.Bundle {
	if a.delivery == nil {
		return nil
	}
	var out []local.Bundle
	for _, hb := range a.delivery.State() {
		b := local.Bundle{Name: hb.GetName(), Digest: hex.EncodeToString(hb.GetRunning()), Shadowed: hb.GetShadowed(),
			Absent: hb.GetAbsent(), Problem: hb.GetError()}
		for _, d := range a.cfg.Bundles {
			if d.Name == b.Name {
				b.Rules = len(d.Rules)
			}
		}
		out = append(out, b)
	}
	return out
}
