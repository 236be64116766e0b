// Package pool watches what requests queue for: pools of connections of PgBouncer, backends of HAProxy, databases of
// PostgreSQL, and whatever tells its figures as JSON.
package pool

import (
	"context"
	"reflect"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/agent/internal/postgres"
	"github.com/salveops/salve/pkg/signal"
)

// Target is one pool of one service. Exactly one of PgBouncer, HAProxy, Postgres and HTTP is set.
type Target struct {
	Service string
	Name    string
	Signals []string      // those that the pool gives: "active", "used_ratio", …
	Every   time.Duration // 0 means 1 s

	PgBouncer    string // path of its socket, or host:port
	Postgres     string // the same of PostgreSQL
	Database     string // of both
	User         string // of both; "" means "salve"
	PasswordFile string // of both; "" means no password; read at each connect
	Secure       bool   // of both, over TCP: TLS with a trusted certificate for the host
	CAFile       string // who is trusted then; "" means the system's authorities; read at each connect

	HAProxy string // path of its stats socket, or host:port
	Backend string // of HAProxy

	HTTP   string            // URL of a JSON document
	Fields map[string]string // the paths in it, by signal; also of "size" and "max_wait_ms"
}

func (t Target) normal() Target {
	if t.Every <= 0 {
		t.Every = time.Second
	}
	if t.User == "" {
		t.User = "salve"
	}
	return t
}

// login is a connection to a database at an address.
func (t Target) login(address, database string) postgres.Target {
	return postgres.Target{Address: address, Database: database, User: t.User, PasswordFile: t.PasswordFile,
		Secure: t.Secure, CAFile: t.CAFile}
}

// reading is what a pool tells, by signal. What is not in it is not known.
type reading map[string]float64

// origin is where the figures of one pool come from. Its methods are called one after another.
type origin interface {
	ask(ctx context.Context) (reading, error)
	close()
}

func newOrigin(t Target) origin {
	switch {
	case t.HAProxy != "":
		return balancer{t.HAProxy, t.Backend}
	case t.Postgres != "":
		return &server{target: t.login(t.Postgres, t.Database)}
	case t.HTTP != "":
		d, err := newTold(t.HTTP, t.Fields)
		if err != nil { // which configuration refuses before
			return unusable{err}
		}
		return d
	}
	return &console{target: t}
}

// unusable is a target that cannot be asked.
type unusable struct{ err error }

func (u unusable) ask(context.Context) (reading, error) { return nil, u.err }
func (unusable) close()                                 {}

const (
	// timeout bounds connecting and the questions of one moment.
	timeout = 2 * time.Second
	// longestRetry bounds the pause between attempts to connect.
	longestRetry = 30 * time.Second
)

// Watcher watches all pools.
type Watcher = source.Group[Target]

// New makes a watcher without pools.
func New(o source.Options) *Watcher {
	return source.NewGroup(func(t Target) source.Member[Target] { return newPool(o, t.normal()) })
}

// pool is one target with where its figures come from.
type pool struct {
	opt    source.Options
	target Target
	origin origin
	meter  source.Meter
	retry  *backoff.ExponentialBackOff

	handles []*source.Handle // of the target's signals, in their order
}

func newPool(o source.Options, t Target) *pool {
	p := &pool{opt: o, target: t, origin: newOrigin(t)}
	for _, name := range t.Signals {
		path := signal.Path{Family: "pool", Key: t.Name, Field: name}
		p.handles = append(p.handles, o.Book.Handle(path.String(), t.Service))
	}
	p.meter.Name = "pool." + t.Name + "{" + t.Service + "}"
	p.retry = backoff.NewExponentialBackOff()
	p.retry.InitialInterval, p.retry.MaxInterval = t.Every, max(t.Every, longestRetry)
	return p
}

// Watches implements source.Member.
func (p *pool) Watches(t Target) bool { return reflect.DeepEqual(p.target, t.normal()) }

// Stats implements source.Member.
func (p *pool) Stats() source.Stats { return p.meter.Stats() }

// Run asks at each moment of the pool's schedule, and after a failure with growing pauses.
func (p *pool) Run(ctx context.Context) {
	defer p.origin.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			p.deliver(nil)
			return
		case <-timer.C:
		}
		timer.Reset(p.once(ctx))
	}
}

// once asks once, delivers the figures, and returns the pause until the next time.
func (p *pool) once(ctx context.Context) time.Duration {
	start := time.Now()
	limited, cancel := context.WithTimeout(ctx, timeout)
	r, err := p.origin.ask(limited)
	cancel()
	if ctx.Err() != nil {
		return 0
	}
	if p.meter.Record(p.opt.Clock.Now().Boot, time.Since(start), err) {
		p.tell(err)
	}
	if err != nil {
		p.deliver(nil)
		return p.retry.NextBackOff()
	}
	p.retry.Reset()
	now := p.deliver(r)
	return p.opt.Grid.Next(now, p.target.Every, 0) - now
}

func (p *pool) tell(err error) {
	if err != nil {
		p.opt.Log.Warn("pool does not answer", "service", p.target.Service, "pool", p.target.Name, "error", err)
		return
	}
	p.opt.Log.Info("pool answers again", "service", p.target.Service, "pool", p.target.Name)
}

// deliver hands over what is known, and that the rest is not.
func (p *pool) deliver(r reading) (now time.Duration) {
	now = p.opt.Clock.Now().Boot
	b := p.opt.Book.Batch()
	for i, name := range p.target.Signals {
		v, known := r[name]
		b.Maybe(p.handles[i], now, v, known)
	}
	p.opt.Deliver(b)
	return now
}
