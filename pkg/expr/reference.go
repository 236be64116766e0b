package expr

import (
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/signal"
)

// lookup finds a signal in the catalogue, or says what may have been meant.
func (c *compiler) lookup(at hcl.Range, p signal.Path) (signal.Info, bool) {
	if in, ok := signal.Lookup(p); ok {
		switch {
		case p.Family == signal.Metric && c.scope.Service:
			return c.metric(at, p.Field)
		case p.Family == signal.Context:
			return c.context(at, p)
		case p.Family == signal.Query:
			return c.query(at, p.Field)
		}
		return in, true
	}
	keyed, plain := p, p
	keyed.Key, plain.Key = signal.AnyKey, ""
	_, needsKey := signal.Lookup(keyed)
	_, noKey := signal.Lookup(plain)
	switch best := signal.Suggest(p.String()); {
	case p.Family == signal.Metric:
		c.fail(at, "Unknown signal", "A metric is written metric.NAME, not %s.", p)
	case p.Family == signal.Context:
		c.fail(at, "Unknown signal", "A figure of a context is written context.NAME.FIELD, not %s.", p)
	case p.Family == signal.Query:
		c.fail(at, "Unknown signal", "A query is written query.NAME, not %s.", p)
	case p.Key == "" && needsKey:
		c.fail(at, "Missing key", `%s exists once for each instance: %s["…"].%s, or ["*"] for every one.`,
			p, p.Family, p.Field)
	case p.Key != "" && noKey:
		c.fail(at, "Unknown signal", "%s has no key: write %s.", p, plain)
	case strings.Contains(p.Field, "-"):
		c.fail(at, "Unknown signal", "There is no signal %s. A minus needs spaces on both sides.", p)
	case best != "":
		c.fail(at, "Unknown signal", "There is no signal %s. Did you mean %s?", p, best)
	default:
		c.fail(at, "Unknown signal", "There is no signal %s.", p)
	}
	return signal.Info{}, false
}

// metric finds what the service declares of one of its metrics.
func (c *compiler) metric(at hcl.Range, name string) (signal.Info, bool) {
	in, ok := c.scope.Metrics[name]
	if !ok {
		c.fail(at, "Unknown metric", "The service has no metric %q%s", name, meant(name, sortedKeys(c.scope.Metrics)))
	}
	return in, ok
}

// context finds what the host declares of a field of one of its contexts.
func (c *compiler) context(at hcl.Range, p signal.Path) (signal.Info, bool) {
	fields, ok := c.scope.Contexts[p.Key]
	if !ok {
		c.fail(at, "Unknown context", "The host has no context %q%s", p.Key, meant(p.Key, sortedKeys(c.scope.Contexts)))
		return signal.Info{}, false
	}
	in, ok := fields[p.Field]
	if !ok {
		c.fail(at, "Unknown field", "The context %q has no field %q%s", p.Key, p.Field, meant(p.Field, sortedKeys(fields)))
	}
	return in, ok
}

// query finds what the host declares of one of its queries.
func (c *compiler) query(at hcl.Range, name string) (signal.Info, bool) {
	in, ok := c.scope.Queries[name]
	if !ok {
		c.fail(at, "Unknown query", "The host has no query %q%s", name, meant(name, sortedKeys(c.scope.Queries)))
	}
	return in, ok
}

// allowed checks that a signal can be read where the condition stands.
func (c *compiler) allowed(at hcl.Range, p signal.Path, in signal.Info) bool {
	s := c.scope
	switch {
	case s.Use == ThresholdValue && (in.Scope != signal.Host || p.Key == signal.AnyKey):
		c.fail(at, "Signal of an instance", "%s differs between instances; a threshold belongs to the whole host.", p)
		return false
	case in.Scope == signal.Unit && !s.Service && !s.Unit:
		c.fail(at, "Signal without a unit", "%s belongs to a unit; name `services` or `unit` in the rule.", p)
		return false
	case in.Scope == signal.Service && !s.Service:
		c.fail(at, "Signal without a service", "%s belongs to a service; name `services` in the rule.", p)
		return false
	case p.Family == "probe" && !c.declared(at, p, s.Probes), p.Family == "pool" && !c.declared(at, p, s.Pools),
		p.Family == "log" && !c.declared(at, p, s.Logs), p.Family == "host.log" && !c.declared(at, p, s.HostLogs),
		p.Family == signal.SLO && !c.declared(at, p, s.SLOs):
		return false
	case p.Key != signal.AnyKey && strings.Contains(p.Key, "*"):
		c.fail(at, "Unsupported pattern", `%s: a key is one name, or "*" for every instance.`, p)
		return false
	case p.Key != signal.AnyKey:
		return true
	case c.each != "" && c.each != p.Family:
		c.fail(at, "Two sorts of instances", "A condition is judged for each %s or for each %s, not for both.",
			c.each, p.Family)
		return false
	}
	c.each = p.Family
	return true
}

// declared checks that the service has the probe, pool, log or objective, or the host the log.
func (c *compiler) declared(at hcl.Range, p signal.Path, names []string) bool {
	if p.Key == signal.AnyKey || slices.Contains(names, p.Key) {
		return true
	}
	owner, what := "service", p.Family
	if kind, ok := strings.CutPrefix(p.Family, "host."); ok {
		owner, what = "host", kind
	}
	c.fail(at, "Unknown "+what, "The %s has no %s %q%s", owner, what, p.Key, meant(p.Key, names))
	return false
}

// refer gives a signal its place among the program's.
func (c *compiler) refer(p signal.Path, in signal.Info) int {
	i := slices.IndexFunc(c.refs, func(r Ref) bool { return r.Path == p })
	if i < 0 {
		i = len(c.refs)
		if c.scope.Span != nil {
			in.Span = max(in.Span, c.scope.Span(p))
		}
		c.refs = append(c.refs, Ref{Path: p, Info: in, Every: c.scope.every(p, in), Absent: c.absent})
		c.window = max(c.window, c.refs[i].proof())
	}
	c.refs[i].Absent = c.refs[i].Absent && c.absent
	c.read = append(c.read, i)
	return i
}

// look notes that a window function looks back over a signal.
func (c *compiler) look(ref int, window time.Duration) {
	c.refs[ref].Window = max(c.refs[ref].Window, window)
	c.window = max(c.window, window+c.refs[ref].Info.Span)
}
