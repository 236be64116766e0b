// Package query asks Prometheus servers for the figures of query blocks. Each query has a goroutine and a connection of
// its own.
package query

import (
	"context"
	"fmt"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/agent/internal/secret"
	"github.com/salveops/salve/pkg/promql"
	"github.com/salveops/salve/pkg/signal"
)

// late is the age from which an answer does not count, by the clocks of both sides.
const late = time.Minute

// Target is one query. Label, User and SecretFile may be missing.
type Target struct {
	Name        string
	URL         string // of the server
	Expr        string // in PromQL
	Every       time.Duration
	Timeout     time.Duration // not longer than Every
	Label, Host string        // the element is the one with this host in the label; "": there is only one
	User        string        // of basic authentication; "": none
	SecretFile  string        // User's password, or without a User a bearer token; "": none
}

// Watcher asks all queries.
type Watcher = source.Group[Target]

// New makes a watcher without queries.
func New(o source.Options) *Watcher {
	return source.NewGroup(func(t Target) source.Member[Target] { return newAsker(o, t) })
}

// asker is one target with its client.
type asker struct {
	opt    source.Options
	target Target
	client *promql.Client
	meter  source.Meter
	handle *source.Handle
	warned bool
}

func newAsker(o source.Options, t Target) *asker {
	q := promql.Query{URL: t.URL, Expr: t.Expr, Timeout: t.Timeout, Label: t.Label, Value: t.Host, User: t.User}
	if t.SecretFile != "" {
		q.Secret = func() (string, error) { return secret.Read(t.SecretFile) }
	}
	name := signal.Path{Family: signal.Query, Field: t.Name}.String()
	return &asker{opt: o, target: t, client: promql.New(q), meter: source.Meter{Name: name}, handle: o.Book.Handle(name, "")}
}

// Watches implements source.Member.
func (a *asker) Watches(t Target) bool { return a.target == t }

// Stats implements source.Member.
func (a *asker) Stats() source.Stats { return a.meter.Stats() }

// Run asks at each moment of the query's schedule.
func (a *asker) Run(ctx context.Context) {
	defer a.client.Close()
	a.opt.Each(ctx, a.meter.Name, a.target.Every, a.once)
	a.opt.Unknown([]*source.Handle{a.handle})
}

// once asks once and delivers the figure. It is of the moment before the server was asked; how far it looks back from
// there is what the signal's span says.
func (a *asker) once(ctx context.Context) {
	start, at := time.Now(), a.opt.Clock.Now()
	answer, err := a.client.Ask(ctx)
	if ctx.Err() != nil {
		return
	}
	if old := at.Wall.Sub(answer.At); err == nil && answer.Known && old > late {
		err = fmt.Errorf("the answer is %s old by this host's clock: something keeps answers, or a clock is wrong",
			old.Round(time.Second))
	}
	if a.meter.Record(a.opt.Clock.Now().Boot, time.Since(start), err) {
		a.tell(err)
	}
	a.warn(answer.Warnings)
	b := a.opt.Book.Batch()
	b.Maybe(a.handle, at.Boot, answer.Value, answer.Known && err == nil)
	a.opt.Deliver(b)
}

// warn counts the server's reservations, and tells the first of them when they begin.
func (a *asker) warn(warnings []string) {
	a.meter.Warn(len(warnings))
	if len(warnings) > 0 && !a.warned {
		a.opt.Log.Warn("answer with reservations", "query", a.target.Name, "warning", warnings[0])
	}
	a.warned = len(warnings) > 0
}

func (a *asker) tell(err error) {
	if err != nil {
		a.opt.Log.Warn("query cannot be answered", "query", a.target.Name, "error", err)
		return
	}
	a.opt.Log.Info("query can be answered again", "query", a.target.Name)
}
