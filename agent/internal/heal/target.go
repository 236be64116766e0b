package heal

import (
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/observe"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/signal"
)

const (
	hurried     = time.Second            // a rule that waits less than this wants its figures fast
	memoryEvery = 100 * time.Millisecond // period of memory figures for such a rule
)

// aim tells the observer what to watch: the services' units, probes, metrics, pools and logs, the contexts and queries,
// and what rules read.
func (e *Engine) aim(units []string) {
	t := observe.Targets{}
	for _, name := range units {
		t.Units = append(t.Units, observe.UnitTarget{Name: name, Every: e.unitPeriod(name), Memory: e.memoryPeriod(name)})
	}
	for _, s := range e.cfg.Services {
		t.Probes = append(t.Probes, probes(s)...)
		for _, p := range s.Scrapes {
			t.Scrapes = append(t.Scrapes, observe.ScrapeTarget{
				Service: s.Name, Unit: s.Unit, Except: s.Except, Name: p.Name, URL: p.URL, Exemplars: p.Exemplars,
				Native: p.Native, Every: p.Every, Timeout: p.Timeout, Metrics: e.metrics(s, p.Metrics),
			})
		}
		for _, p := range s.StatsDs {
			t.StatsDs = append(t.StatsDs, observe.StatsDTarget{
				Service: s.Name, Name: p.Name, Listen: p.Listen, Every: p.Every, Metrics: e.metrics(s, p.Metrics),
			})
		}
		for _, p := range s.OTLPs {
			t.OTLPs = append(t.OTLPs, observe.OTLPTarget{
				Service: s.Name, Name: p.Name, GRPC: p.GRPC, HTTP: p.HTTP, Sender: p.ServiceName, Every: p.Every,
				Metrics: e.metrics(s, p.Metrics),
			})
		}
		for _, p := range s.Pools {
			t.Pools = append(t.Pools, observe.PoolTarget{
				Service: s.Name, Name: p.Name, Signals: p.Signals(), Every: p.Every,
				PgBouncer: p.PgBouncer, Postgres: p.Postgres, Database: p.Database, User: p.User, PasswordFile: p.PasswordFile,
				Secure: p.Secure, CAFile: p.CAFile, HAProxy: p.HAProxy, Backend: p.Backend, HTTP: p.HTTP, Fields: p.Fields,
			})
		}
		for _, g := range s.Logs {
			t.Logs = append(t.Logs, observe.LogTarget{Service: s.Name, Name: g.Name, Unit: s.Unit, Except: s.Except,
				Match: g.Match, Window: g.Window})
		}
	}
	t.Contexts, t.Queries = e.contexts(), e.queries()
	for _, g := range e.cfg.Logs {
		t.Logs = append(t.Logs, observe.LogTarget{Name: g.Name, Match: g.Match, Window: g.Window})
	}
	needs := e.rules.Needs()
	for _, n := range needs {
		t.Needs = append(t.Needs, n.Key)
	}
	e.changes.Follow(e.store, needs)
	e.o.Observe.SetTargets(t)
	for _, name := range units {
		if u, ok := e.o.Units.Unit(name); known(u, ok) {
			e.track(u)
		}
	}
}

func probes(s *config.Service) []observe.ProbeTarget {
	out := make([]observe.ProbeTarget, len(s.Probes))
	for i, p := range s.Probes {
		out[i] = observe.ProbeTarget{
			Service: s.Name, Name: p.Name, Every: p.Every, Timeout: p.Timeout, Misses: p.Misses, Startup: s.Startup,
			HTTP: p.HTTP, Status: p.Status, Body: p.Body, TCP: p.TCP, Exec: p.Exec, GRPC: p.GRPC, Health: p.Health,
			DNS: p.DNS, Server: p.Server, Type: p.Type, Answers: p.Answers,
			TLS: p.TLS, MinLeft: p.MinLeft, TLSName: p.TLSName, CAFile: p.CAFile,
			Postgres: p.Postgres, Database: p.Database, Redis: p.Redis, User: p.User, PasswordFile: p.PasswordFile,
			Secure: p.Secure,
		}
	}
	return out
}

// metrics are what is made of a source of samples of the service. Their series are opened with that, so that a figure
// that means something else than before begins anew.
func (e *Engine) metrics(s *config.Service, metrics []*config.Metric) []observe.Metric {
	out := make([]observe.Metric, len(metrics))
	for i, m := range metrics {
		care.Open(e.store, signal.Path{Family: signal.Metric, Field: m.Name}, s.Name, m.Info())
		out[i] = observe.Metric{Name: m.Name, Definition: m.Definition}
	}
	return out
}

// contexts are the documents from outside. Their series are opened with that, as those of metrics are.
func (e *Engine) contexts() []observe.ContextTarget {
	out := make([]observe.ContextTarget, len(e.cfg.Contexts))
	for i, c := range e.cfg.Contexts {
		out[i] = observe.ContextTarget{Name: c.Name, HTTP: c.HTTP, File: c.File, Every: c.Every, Timeout: c.Timeout,
			MaxAge: c.MaxAge}
		for _, f := range c.Fields {
			path := f.Signal(c)
			care.Open(e.store, path, "", e.cfg.Describe(path, ""))
			out[i].Fields = append(out[i].Fields, observe.ContextField{Signal: path, Path: f.Path})
		}
	}
	return out
}

// queries are what Prometheus servers are asked. Their series are opened with that, as those of metrics are.
func (e *Engine) queries() []observe.QueryTarget {
	out := make([]observe.QueryTarget, len(e.cfg.Queries))
	for i, q := range e.cfg.Queries {
		path := q.Signal()
		care.Open(e.store, path, "", e.cfg.Describe(path, ""))
		out[i] = observe.QueryTarget{Name: q.Name, Every: q.Every, Server: q.Server, Host: e.cfg.Host, Window: q.Window}
	}
	return out
}

// unitPeriod is how often a unit is sampled: as its service says.
func (e *Engine) unitPeriod(unit string) time.Duration {
	for _, s := range e.cfg.Services {
		if s.Covers(unit) {
			return s.Every
		}
	}
	return 0
}

// memoryPeriod is how often a unit's memory is read while that of the host gets less: where a rule acts on it at once,
// a leak must not have a whole period's start.
func (e *Engine) memoryPeriod(unit string) time.Duration {
	for _, a := range e.rules.Every() {
		if a.Unit != unit || a.Rule.For >= hurried {
			continue
		}
		for _, ref := range a.Rule.When.Refs() {
			if ref.Path.Family == "unit" && strings.HasPrefix(ref.Path.Field, "memory_") {
				return memoryEvery
			}
		}
	}
	return 0
}

// track tells the observer which life of the unit to sample.
func (e *Engine) track(u systemd.Unit) {
	if u.Down() || u.ControlGroup == "" {
		e.o.Observe.UnitGone(u.Name)
		return
	}
	e.o.Observe.UnitStarted(u.Name, observe.UnitRun{ControlGroup: u.ControlGroup, InvocationID: u.InvocationID,
		MainPID: u.MainPID})
}

// SetKeys says which mounts, devices or interfaces exist. It may be called from any goroutine.
func (e *Engine) SetKeys(family string, keys []string) {
	e.post(func() {
		e.rules.SetKeys(family, slices.Clone(keys))
		e.bindUnits()
	})
}
