package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/salveops/salve/agent/internal/change"
	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/clock"
)

// buildChanges makes the log of what is changed on this host, and the watcher of what nobody records.
func (a *agent) buildChanges(context.Context) (err error) {
	store, log := a.journal.Space("changes"), a.log.Named("change")
	a.changes, err = change.NewLog(store, a.o.Clock, log, func(x change.Change) { a.engine.Changed(x) })
	if err != nil {
		return err
	}
	a.changed, err = change.NewWatcher(change.Options{Log: a.changes, Store: store, Units: a.systemd.Units, Logger: log})
	if err != nil {
		return fmt.Errorf("read what was seen last: %w", err)
	}
	a.changed.Aim(a.cfg.Services)
	return nil
}

// Changes lists what was changed, the newest first.
func (b backend) Changes(context.Context) ([]local.Change, error) {
	now := clock.Now(b.agent.o.Clock)
	var out []local.Change
	for _, x := range b.agent.changes.All() {
		out = append(out, changeOf(x, now))
	}
	slices.SortStableFunc(out, func(x, y local.Change) int { return cmp.Compare(x.Age, y.Age) })
	return out, nil
}

// RecordChange enters what somebody says was changed now.
func (b backend) RecordChange(_ context.Context, kind, service, text, by string) (local.Change, error) {
	if service != "" && b.agent.config().Service(service) == nil {
		return local.Change{}, fmt.Errorf("service %s %w", service, local.ErrNotFound)
	}
	return changeOf(b.agent.changes.Record(kind, service, text, by), clock.Now(b.agent.o.Clock)), nil
}

func changeOf(x change.Change, now clock.Stamp) local.Change {
	return local.Change{ID: x.ID, At: x.At, Age: x.At.Age(now), Kind: x.Kind, Service: x.Service, Text: x.Text, By: x.By,
		Pending: x.Pending}
}
