package signal

import (
	"strings"
	"testing"
)

// keyed puts a key where a catalogue name has its "*".
func keyed(name string) string {
	return strings.NewReplacer("[*]", `["x"]`, ".*.", ".x.").Replace(name)
}

func TestCatalogueIsConsistent(t *testing.T) {
	seen := map[string]bool{}
	for _, in := range All() {
		if seen[in.Name] {
			t.Errorf("%s is in the catalogue twice", in.Name)
		}
		seen[in.Name] = true
		p, err := ParsePath(keyed(in.Name))
		if err != nil {
			t.Fatalf("%s: %s", in.Name, err)
		}
		found, ok := Lookup(p)
		if !ok || found.Name != in.Name {
			t.Errorf("%s is not found by its own name", in.Name)
		}
		if in.Help == "" || in.Source == "" {
			t.Errorf("%s has no help or source", in.Name)
		}
		if in.Event == (in.Every > 0) {
			t.Errorf("%s: events have no period, polled signals have one; it is %s", in.Name, in.Every)
		}
		if (in.Dim == Text) != (len(in.Words) > 0) {
			t.Errorf("%s: a text signal, and only that, lists its words", in.Name)
		}
	}
}

// The signals that the design promises for one host.
func TestCatalogueIsComplete(t *testing.T) {
	for _, name := range strings.Fields(`
		host.cpu.busy host.cpu.iowait host.cpu.steal host.load.per_cpu host.memory.available_ratio
		host.memory.available_bytes host.memory.swap_ratio host.memory.oom_kills host.psi.cpu.some host.psi.memory.full
		host.psi.io.full host.disk["/var"].used_ratio host.disk["/var"].inodes_ratio host.io["sda"].busy
		host.io["sda"].latency host.net["eth0"].rx_bytes host.net["eth0"].errors host.net["eth0"].drops
		host.tcp.retransmits host.tcp.listen_overflows host.conntrack.used_ratio host.fds.used_ratio
		host.pids.used_ratio host.clock.offset unit.active unit.failed unit.state unit.restarts unit.uptime unit.cpu
		unit.memory_bytes unit.memory_ratio unit.tasks unit.fds unit.psi.cpu.some unit.psi.memory.full unit.psi.io.full
		unit.oom_kills unit.throttled probe.health.ok probe.health.latency probe.health.status pool.db.active
		pool.db.idle pool.db.waiting pool.db.used_ratio pool.db.max_wait log.errors.rate log.errors.count host.log["disk"].rate
		slo.checkout.burn slo.checkout.slow_burn slo.checkout.budget
		slo.checkout.spent`) {
		p, err := ParsePath(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := Lookup(p); !ok {
			t.Errorf("%s is not in the catalogue", name)
		}
		if p.String() != name {
			t.Errorf("%s is written %s", name, p)
		}
	}
}

func TestLookupWantsTheKey(t *testing.T) {
	for _, p := range []Path{
		{Family: "host.disk", Field: "used_ratio"},
		{Family: "unit", Key: "x", Field: "cpu"},
		{Family: "host.disk", Key: "/", Field: "nothing"},
		{},
	} {
		if in, ok := Lookup(p); ok {
			t.Errorf("%+v is found as %s", p, in.Name)
		}
	}
	if !Keyed("host.disk") || !Keyed("pool") || Keyed("unit") || Keyed("nothing") {
		t.Error("Keyed is wrong about a family")
	}
}

func TestMetricsAreDeclaredElsewhere(t *testing.T) {
	in, ok := Lookup(Path{Family: "metric", Field: "error_rate"})
	if !ok || in.Scope != Service || in.Help == "" || in.Source == "" {
		t.Errorf("metric.error_rate is %+v, %v", in, ok)
	}
	if _, ok := Lookup(Path{Family: "metric", Key: "x", Field: "error_rate"}); ok {
		t.Error("metrics have no key")
	}
}

func TestQueriesAreDeclaredElsewhere(t *testing.T) {
	p, err := ParsePath("query.orders")
	if err != nil || p != (Path{Family: "query", Field: "orders"}) || p.String() != "query.orders" {
		t.Errorf("%+v, %v", p, err)
	}
	in, ok := Lookup(p)
	if !ok || in.Scope != Host || in.Help == "" || in.Source == "" {
		t.Errorf("%s is %+v, %v", p, in, ok)
	}
	if _, ok := Lookup(Path{Family: "query", Key: "orders", Field: "value"}); ok {
		t.Error("a query has no fields")
	}
}

func TestContextsAreDeclaredElsewhere(t *testing.T) {
	p, err := ParsePath("context.market.volatility")
	if err != nil || p != (Path{Family: "context", Key: "market", Field: "volatility"}) || p.String() != "context.market.volatility" {
		t.Errorf("%+v, %v", p, err)
	}
	in, ok := Lookup(p)
	if !ok || in.Scope != Host || in.Help == "" || in.Source == "" {
		t.Errorf("%s is %+v, %v", p, in, ok)
	}
	if _, ok := Lookup(Path{Family: "context", Field: "market"}); ok {
		t.Error("a context is no signal without a field")
	}
}

func TestSuggest(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"host.memroy.available_ratio", "host.memory.available_ratio"},
		{"host.memory.availableratio", "host.memory.available_ratio"},
		{`host.disk["/var"].use_ratio`, `host.disk["/var"].used_ratio`},
		{"probe.health.latncy", "probe.health.latency"},
		{"unit.memory", "unit.memory_bytes"},
		{"unit.faield", "unit.failed"},
		{"cats.and.dogs", ""},
		{"", ""},
	} {
		if got := Suggest(c.name); got != c.want {
			t.Errorf("%s: suggested %q, want %q", c.name, got, c.want)
		}
	}
}

func TestClosest(t *testing.T) {
	words := []string{"health", "ready", "h"}
	for _, c := range []struct{ word, want string }{
		{"helth", "health"}, {"haelth", "health"}, {"reedy", "ready"}, {"health", "health"}, {"zzz", ""}, {"x", "h"},
	} {
		if got := Closest(c.word, words); got != c.want {
			t.Errorf("%s: %q, want %q", c.word, got, c.want)
		}
	}
}
