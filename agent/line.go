package agent

import (
	"context"
	"fmt"

	"github.com/salveops/salve/agent/internal/heal"
	"github.com/salveops/salve/agent/internal/session"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/version"
	"github.com/salveops/salve/proto/agentpb"
)

// buildSession makes the line to the controller, if there is one. What earlier processes left has been settled by
// evidence before, so that the controller hears how it ended.
func (a *agent) buildSession(context.Context) error {
	if a.cfg.Controller == nil {
		return nil
	}
	outbox, err := a.journal.Outbox()
	if err != nil {
		return err
	}
	past, err := a.journal.PermittedAttempts()
	if err != nil {
		return fmt.Errorf("read permitted attempts: %w", err)
	}
	fingerprint, err := session.Fingerprint("/")
	if err != nil {
		return err
	}
	if err := a.buildIdentity(); err != nil {
		return err
	}
	a.outbox = outbox
	a.session, err = session.New(session.Options{
		Host: a.journal.Host(), Name: a.cfg.Host, Fingerprint: fingerprint, Version: version.Get().Version, Labels: a.cfg.Labels,
		Addresses: a.cfg.Controller.Addresses, Clock: a.o.Clock, Log: a.log, Store: a.journal.Space("session"), Outbox: outbox,
		Dial: a.identity.dial, Retry: a.identity.changed, Past: session.Restore(past), Step: a.o.step,
		Orders:  a.follow,
		Moved:   func(from string, numbers map[uint64]uint64) { a.engine.Moved(from, numbers) },
		Changed: a.lineChanged,
	})
	return err
}

// figure asks the controller for the answer to one of its queries, which only a host that has one may do.
func (a *agent) figure(ctx context.Context, query string) (*agentpb.ReadFigureResponse, error) {
	return a.session.Figure(ctx, query)
}

// controller is what the engine sees of it, nil for an agent that works alone.
func (a *agent) controller() *heal.Controller {
	if a.session == nil {
		return nil
	}
	return &heal.Controller{Permits: a.session, Events: a.outbox, Orders: a.session.Orders()}
}

// addressesOf are the controller's nodes, none for an agent that works alone.
func addressesOf(cfg *config.Agent) []string {
	if cfg.Controller == nil {
		return nil
	}
	return cfg.Controller.Addresses
}
