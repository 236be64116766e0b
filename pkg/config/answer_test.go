package config

import (
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/remedy"
)

func load(t *testing.T, src string) *Agent {
	t.Helper()
	s := layOut(t, src)
	a, diags := LoadAgent(filepath.Join(s.dir, "agent.hcl"), s.opts)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return a
}

// A unit has at most one service: a name before a glob, the first before the next, what people wrote
// before what Salve made.
func TestCovers(t *testing.T) {
	a := load(t, `
allow {
  units   = ["*.service", "db.service", "app@9.service", "cache.service"]
  actions = ["start"]
}
service "early" { unit = "*@1.service" }
service "app" { unit = "app@*.service" }
service "seven" { unit = "app@7.service" }
service "cache" {}
`)
	for unit, want := range map[string]string{
		"app@1.service": "early", "app@2.service": "app", "app@7.service": "seven", "app@9.service": "app",
		"cache.service": "cache", "db.service": "db", "other.service": "*", "web@1.service": "early", "a.timer": "",
	} {
		var got []string
		for _, s := range a.Services {
			if s.Covers(unit) {
				got = append(got, s.Name)
			}
		}
		if len(got) > 1 || len(got) == 1 && got[0] != want || len(got) == 0 && want != "" {
			t.Errorf("%s is covered by %v, want %q", unit, got, want)
		}
	}
	rule := a.Rule(builtInRule)
	for _, s := range a.Services {
		if rule.About(s) != s.Implicit {
			t.Errorf("the built-in rule is about %s: %v", s.Name, rule.About(s))
		}
	}
}

func TestAllows(t *testing.T) {
	a := load(t, `
allow {
  units   = ["web.service", "worker@*.service"]
  actions = ["start"]
}
allow {
  units   = ["db.service"]
  actions = ["stop"]
}
allow {
  exec    = ["/usr/lib/hooks/*"]
  actions = ["probe"]
}
allow {
  pools   = ["web.service"]
  actions = ["reset_pool"]
}
`)
	for _, c := range []struct {
		action string
		on     remedy.Target
		target string
		want   bool
	}{
		{"start", remedy.OnUnit, "web.service", true},
		{"start", remedy.OnUnit, "worker@7.service", true},
		{"start", remedy.OnUnit, "db.service", false}, // blocks do not mix
		{"stop", remedy.OnUnit, "web.service", false},
		{"start", remedy.OnPool, "web.service", false},
		{"reset_pool", remedy.OnPool, "web.service", true},
		{"probe", remedy.OnExec, "/usr/lib/hooks/x", true},
		{"exec", remedy.OnExec, "/usr/lib/hooks/x", false},
		{"probe", remedy.OnExec, "/usr/lib/hooks/../x", false},
		{"start", remedy.OnUnit, "", false},
		{"", remedy.OnUnit, "web.service", false},
		{"start", "", "web.service", false},
	} {
		if got := a.Allows(c.action, c.on, c.target); got != c.want {
			t.Errorf("%s on %s %q: %v", c.action, c.on, c.target, got)
		}
	}
	if (&Agent{}).Allows("start", remedy.OnUnit, "web.service") {
		t.Error("nothing listed must mean nothing allowed")
	}
}

const twoServices = `
service "a" {
  startup = "40s"
  probe "health" { tcp = "localhost:1" }
  remedy "restart" "restart" {}
  remedy "start" "start" {
    verify { when = probe.health.ok }
  }
  remedy "stop" "strict" {
    verify {
      within = "90s"
      hold   = "1s"
    }
  }
}
service "b" {
  remedy "restart" "restart" {}
}
rule "all" {
  services = ["*"]
  when     = avg(unit.cpu, "2m") > 90 * percent
  clear    = unit.cpu < 50 * percent
  try      = ["start", "restart", "strict"]
}
rule "long" {
  services = ["a"]
  when     = avg(unit.cpu, "2m") > 90 * percent
  try      = ["restart"]
}
remedy "start" "of-host" { unit = "c.service" }
rule "host" {
  when = host.cpu.busy > 90 * percent
  try  = ["of-host"]
}
`

// What a remedy chooses from when it acts is nobody's one target.
func TestChoices(t *testing.T) {
	a := load(t, `
allow {
  units   = ["worker@*.service", "backup-a.service", "web.service"]
  actions = ["restart", "scale", "shed"]
}
`)
	scale := &Remedy{Kind: remedy.Scale, Args: &remedy.ScaleArgs{Unit: "worker@.service"}}
	shed := func(victims ...string) *Remedy {
		return &Remedy{Kind: remedy.Shed, Args: &remedy.ShedArgs{Victims: victims}}
	}
	restart := func(unit string) *Remedy { return &Remedy{Kind: remedy.Restart, Args: &remedy.UnitArgs{Unit: unit}} }
	for _, c := range []struct {
		rem     *Remedy
		among   []string
		unit    string
		allowed bool
	}{
		{scale, []string{"worker@*.service"}, "", true},
		{&Remedy{Kind: remedy.Scale, Args: &remedy.ScaleArgs{Unit: "mail@.service"}}, []string{"mail@*.service"}, "", false},
		{shed("report.service", "backup-*.service"), []string{"report.service", "backup-*.service"}, "", true},
		{shed("report.service"), []string{"report.service"}, "", false},
		{restart(""), nil, "web.service", true},
		{restart("worker@1.service"), nil, "worker@1.service", true},
		{restart("db.service"), nil, "db.service", false},
		{&Remedy{Kind: remedy.Exec, Args: &remedy.ExecArgs{}}, nil, "", false},
	} {
		among, unit, allowed := c.rem.Among(), c.rem.Unit("web.service"), a.AllowsRemedy(c.rem, "web.service")
		if !slices.Equal(among, c.among) || unit != c.unit || allowed != c.allowed {
			t.Errorf("%s %+v: among %v, unit %q, allowed %v", c.rem.Kind, c.rem.Args, among, unit, allowed)
		}
	}
	back := &Remedy{Kind: remedy.Rollback, Args: &remedy.RollbackArgs{Link: "/a", Return: remedy.Return{Units: []string{"a.service"}}}}
	room := &Remedy{Kind: remedy.FreeSpace, Args: &remedy.FreeSpaceArgs{Path: "/a", Cleaners: []string{"b.service"}, Reopen: []string{"c.service"}}}
	if got := [][]string{back.Touches(), back.Among(), scale.Touches(), room.Touches()}; !slices.Equal(got[0], []string{"a.service"}) ||
		got[1] != nil || !slices.Equal(got[2], scale.Among()) || !slices.Equal(got[3], []string{"b.service", "c.service"}) {
		t.Errorf("touched or chosen from are %v", got)
	}
	if !slices.Equal(back.Waits(), back.Touches()) || !slices.Equal(scale.Waits(), scale.Touches()) || room.Waits() != nil {
		t.Errorf("an upgrade holds up %v, %v, %v", back.Waits(), scale.Waits(), room.Waits())
	}
}

func TestCandidates(t *testing.T) {
	a := load(t, twoServices)
	names := func(rule string, s *Service) (list []string) {
		for _, r := range a.Candidates(a.Rule(rule), s) {
			list = append(list, r.Name)
		}
		return list
	}
	got := [][]string{names("all", a.Service("a")), names("all", a.Service("b")), names("host", nil), names("long", nil)}
	want := [][]string{{"start", "restart", "strict"}, {"restart"}, {"of-host"}, nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestVerification(t *testing.T) {
	a := load(t, twoServices)
	type verdict struct {
		When         string
		Not          bool
		Within, Hold time.Duration
	}
	for _, c := range []struct {
		rule, remedy string
		want         verdict
	}{
		{"all", "restart", verdict{"unit.cpu < 50 * percent", false, 45 * time.Second, 5 * time.Second}},
		{"all", "start", verdict{"probe.health.ok", false, 45 * time.Second, 5 * time.Second}},
		{"all", "strict", verdict{"unit.cpu < 50 * percent", false, 90 * time.Second, time.Second}},
		{"long", "restart", verdict{`avg(unit.cpu, "2m") > 90 * percent`, true, 125 * time.Second, 5 * time.Second}},
	} {
		v := remedyNamed(a.Service("a").Remedies, c.remedy).Verification(a.Rule(c.rule))
		got := verdict{v.When.Text(), v.Not, v.Within, v.Hold}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s for %s:\n%s", c.remedy, c.rule, diff)
		}
	}
	host := a.Remedies[0].Verification(a.Rule("host"))
	if host.Within != 35*time.Second || !host.Not {
		t.Errorf("of the host: %+v", host)
	}
}

func TestLookups(t *testing.T) {
	a := load(t, twoServices+`
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
`)
	if a.Service("a").Name != "a" || a.Service("c") != nil || a.Rule("c") != nil ||
		a.Notifier("journald.log").Name != "log" || a.Notifier("log") != nil ||
		a.Escalation("default").Name != "default" || a.Escalation("x") != nil {
		t.Error("a look-up by name found the wrong thing")
	}
}

func TestDigest(t *testing.T) {
	const one, two = "-- agent.hcl --\n-- rules.d/a.hcl --\n#1\n", "-- agent.hcl --\n-- rules.d/a.hcl --\n#2\n"
	s := layOut(t, one)
	digest := func() string {
		a, diags := LoadAgent(filepath.Join(s.dir, "agent.hcl"), s.opts)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		return a.Digest
	}
	first, again := digest(), digest()
	write(t, filepath.Join(s.dir, "rules.d/a.hcl"), []byte("#2\n"))
	if changed := digest(); first != again || changed == first || len(first) != 64 {
		t.Errorf("digests %s, %s, %s after %q became %q", first, again, changed, one, two)
	}
}

// A remedy needs for itself all that it may change, and the unit by which it is judged.
func TestLocks(t *testing.T) {
	shop := &Service{Name: "shop", Pools: []*Pool{
		{Name: "db", PgBouncer: "127.0.0.1:6432", Database: "shop"}, {Name: "sql", Postgres: "/run/pg", Database: "shop"},
		{Name: "web", HAProxy: "/run/haproxy.sock"}, {Name: "jobs", HTTP: "http://127.0.0.1/"},
		{Name: "hikari", HTTP: "http://127.0.0.1/", Reset: &Reset{Call: Call{URL: "http://127.0.0.1/reset"}}}},
		Caches: []*Cache{{Name: "pages", Redis: "127.0.0.1:6379", Database: 2}, {Name: "site", Nginx: "/var/cache/nginx"}},
		Groups: []*Group{{Name: "workers", URL: "http://127.0.0.1:1/workers"}},
		Circuits: []*Circuit{{Name: "search", HAProxy: "/run/haproxy.sock", Server: "s1"}, {Name: "degraded", File: "/run/degraded"},
			{Name: "mail", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::1")}, Ports: []int{25}},
			{Name: "ads", On: "http://127.0.0.1/on", Off: "http://127.0.0.1/off"}}}
	for _, c := range []struct {
		kind remedy.Kind
		args remedy.Args
		want []remedy.Lock
	}{
		{remedy.Restart, &remedy.UnitArgs{}, []remedy.Lock{"unit shop.service"}},
		{remedy.Restart, &remedy.UnitArgs{Unit: "db.service"}, []remedy.Lock{"unit db.service", "unit shop.service"}},
		{remedy.ResetPool, &remedy.PoolArgs{Pool: "db"}, []remedy.Lock{"pool 127.0.0.1:6432 shop", "unit shop.service"}},
		{remedy.ResetPool, &remedy.PoolArgs{Pool: "sql"}, []remedy.Lock{"pool /run/pg shop", "unit shop.service"}},
		{remedy.ResetPool, &remedy.PoolArgs{Pool: "jobs"}, []remedy.Lock{"pool shop/jobs", "unit shop.service"}},
		{remedy.ResetPool, &remedy.PoolArgs{Pool: "hikari"}, []remedy.Lock{"pool http://127.0.0.1/reset", "unit shop.service"}},
		{remedy.ResetPool, &remedy.PoolArgs{Pool: "none"}, []remedy.Lock{"pool shop/none", "unit shop.service"}},
		{remedy.ResetPool, &remedy.PoolArgs{Pool: "web"}, []remedy.Lock{"balancer /run/haproxy.sock", "pool shop/web", "unit shop.service"}},
		{remedy.ClearCache, &remedy.CacheArgs{Cache: "pages"}, []remedy.Lock{"cache 127.0.0.1:6379", "unit shop.service"}},
		{remedy.ClearCache, &remedy.CacheArgs{Cache: "site"}, []remedy.Lock{"cache /var/cache/nginx", "unit shop.service"}},
		{remedy.FreeSpace, &remedy.FreeSpaceArgs{Path: "/srv", Cleaners: []string{"logrotate.service"}, Reopen: []string{"nginx.service"}},
			[]remedy.Lock{"path /srv", "unit logrotate.service", "unit nginx.service", "unit shop.service"}},
		{remedy.Shed, &remedy.ShedArgs{Victims: []string{"b.service", "a*.service"}},
			[]remedy.Lock{"unit a*.service", "unit b.service", "unit shop.service"}},
		{remedy.Scale, &remedy.ScaleArgs{Unit: "worker@.service"}, []remedy.Lock{"unit shop.service", "unit worker@*.service"}},
		{remedy.ScaleGroup, &remedy.GroupArgs{Group: "workers"}, []remedy.Lock{"group http://127.0.0.1:1/workers", "unit shop.service"}},
		{remedy.Isolate, &remedy.IsolateArgs{Circuit: "mail"}, []remedy.Lock{"circuit 192.0.2.1:25", "circuit [::1]:25", "unit shop.service"}},
		{remedy.Isolate, &remedy.IsolateArgs{Circuit: "degraded"}, []remedy.Lock{"circuit /run/degraded", "unit shop.service"}},
		{remedy.Isolate, &remedy.IsolateArgs{Circuit: "ads"}, []remedy.Lock{"circuit http://127.0.0.1/on", "unit shop.service"}},
		{remedy.Isolate, &remedy.IsolateArgs{Circuit: "search"},
			[]remedy.Lock{"balancer /run/haproxy.sock", "circuit shop/search", "unit shop.service"}},
		{remedy.Rollback, &remedy.RollbackArgs{Link: "/srv/shop/current",
			Return: remedy.Return{Units: []string{"shop.service", "worker.service"}}},
			[]remedy.Lock{"path /srv/shop/current", "unit shop.service", "unit worker.service"}},
		{remedy.RollbackPackages, &remedy.PackagesArgs{Packages: []string{"shop", "common"},
			Return: remedy.Return{Units: []string{"worker.service"}}},
			[]remedy.Lock{"package common", "package shop", "unit shop.service", "unit worker.service"}},
		{remedy.Scale, &remedy.ScaleArgs{Unit: "worker@.service", Balancer: "web"},
			[]remedy.Lock{"balancer /run/haproxy.sock", "unit shop.service", "unit worker@*.service"}},
		{remedy.Exec, &remedy.ExecArgs{Command: []string{"/x"}}, []remedy.Lock{"exec /x", "unit shop.service"}},
	} {
		rem := &Remedy{Kind: c.kind, Args: c.args, Service: shop}
		if got := rem.Locks("shop.service"); !slices.Equal(got, c.want) {
			t.Errorf("%s %+v: %q, want %q", c.kind, c.args, got, c.want)
		}
	}
}
