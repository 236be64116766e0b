package state

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

func TestFind(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("postgres", nil, "db-1")
	r.joins("checkout", []string{"postgres"}, "web-1")
	if _, err := r.s.Find("last"); !errors.Is(err, ErrNone) {
		t.Errorf("the last of none: %v", err)
	}
	r.fires("web-1", "checkout", "down")
	child := r.incident("checkout").GetId()
	r.fires("db-1", "postgres", "down")
	r.fires("db-1", "", "disk-full")
	i, other := r.incident("postgres"), r.incident("")
	for _, name := range []string{i.GetId(), i.GetId()[:6], child, child[:5], "local checkout of web-1", "local check"} {
		if got, err := r.s.Find(name); got != i {
			t.Errorf("%q is %v, %v", name, got, err)
		}
	}
	if got, err := r.s.Find("last"); got != other {
		t.Errorf("the last is %v, %v", got, err)
	}
	for name, want := range map[string]error{
		"local ": ErrAmbiguous, "zzzzz": ErrNone, i.GetId()[:3]: ErrNone, "": ErrNone,
	} {
		if _, err := r.s.Find(name); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
	names := []string{child, "local checkout of web-1", "local postgres of db-1"}
	if got := r.s.AliasesOf(i.GetId()); !slices.Equal(got, names) {
		t.Errorf("it had the names %v", got)
	}
	if got := r.s.Aliases(); len(got) != 1 || got[0].GetIncident() != i.GetId() {
		t.Errorf("aliases: %v", got)
	}
	if !r.s.Involves(i, "checkout") || !r.s.Involves(i, "postgres") || r.s.Involves(i, "shop") {
		t.Error("it involves others")
	}
}

func TestPermitsOfIncident(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2", "web-3")
	r.fires("web-1", "checkout", "down")
	r.granted("web-1", "checkout", func(q *logpb.Request) { q.Incident = "local checkout of web-1" })
	if got := r.s.PermitsOfIncident(r.incident("checkout").GetId()); len(got) != 1 {
		t.Errorf("permits: %v", got)
	}
	if got := r.s.PermitsOfIncident("another"); len(got) != 0 {
		t.Errorf("permits: %v", got)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.configure(&logpb.Config{})
	for n := range 30 {
		r.joins("web", nil, host(n))
	}
	for n := range 30 {
		r.s.hosts[host(n)].Awaited = true
	}
	if all := r.s.Warnings(); len(all) != maxWarnings+2 {
		t.Errorf("warnings:\n%s", strings.Join(all, "\n"))
	}
	r.warns("10 more warnings about hosts")
	r.warns(`no escalation "default"`)
	for n := range 30 {
		r.s.hosts[host(n)].Awaited = false
	}
	g := r.granted(host(0), "web")
	r.s.hosts[host(1)].Quarantined = "two of them"
	r.s.hosts[host(0)].Awaited = true
	r.settle(host(0), g, logpb.Settlement_SETTLEMENT_UNKNOWN)
	for n := range 9 {
		r.fires(host(n+2), "web", "slow")
	}
	for _, want := range []string{
		"host h00 has not said hello", "host h01 is quarantined: two of them", "has an outcome that cannot be told",
		"the breaker of slow for web is open since",
	} {
		r.warns(want)
	}
}

func TestGraph(t *testing.T) {
	t.Parallel()
	g := newGraph()
	on := func(host, service string, deps ...string) {
		g.set(host, []*logpb.HostService{{Service: service, DependsOn: deps}})
	}
	on("h1", "shop", "checkout", "cache", "shop")
	on("h2", "checkout", "db")
	on("h3", "checkout", "db")
	on("h4", "db", "shop") // in a circle
	if got := g.dependencies("shop"); !slices.Equal(got, []string{"cache", "checkout", "db"}) {
		t.Errorf("shop depends on %v", got)
	}
	if got := g.dependents("db"); !slices.Equal(got, []string{"checkout", "shop"}) {
		t.Errorf("on db depend %v", got)
	}
	on("h2", "checkout")
	if got := g.dependencies("checkout"); !slices.Equal(got, []string{"db", "shop", "cache"}) {
		t.Errorf("checkout depends on %v", got)
	}
	on("h3", "checkout")
	for _, host := range []string{"h1", "h2", "h3", "h4"} {
		g.set(host, nil)
	}
	if len(g.up)+len(g.down)+len(g.said)+len(g.takes) != 0 {
		t.Errorf("left: %v", g)
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"short", 5, "short"}, {"longer", 5, "lo…"}, {"äääää", 8, "ää…"}, {"bad \xff", 20, "bad \uFFFD"}, {"", 5, ""},
	} {
		if got := clip(c.text, c.most); got != c.want {
			t.Errorf("clip(%q, %d) = %q, want %q", c.text, c.most, got, c.want)
		}
	}
	if plus(1<<62, 1<<62) != 1<<63-1 || plus(-1<<62, -1<<62-1) != 0 || plus(5, 6) != 11 {
		t.Error("time wraps")
	}
	if sooner(0, 5) != 5 || sooner(5, 0) != 5 || sooner(7, 5) != 5 || sooner(0, 0) != 0 {
		t.Error("the sooner moment")
	}
}
