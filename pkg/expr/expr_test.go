package expr

import (
	"testing"
	"time"
)

func TestEval(t *testing.T) {
	now := monday
	for _, c := range []struct {
		src  string
		want Truth
	}{
		{"1/0 > 3", Unknown},
		{"0/0 == 0/0", Unknown},
		{"1/(1/0) == 0", Unknown},
		{"1e308 * 10 > 1", Unknown},
		{"1 + 2 * 3 == 7", True},
		{"(1 + 2) * 3 == 9", True},
		{"-7 % 4 == -3", True},
		{"true ? false : true", False},
		{"host.cpu.busy > 50 * percent", True},
		{"host.cpu.busy > 0.95", False},
		{"host.cpu.busy * 2 > 100 * percent", True},
		{"1 - host.cpu.busy < 20 * percent", True},
		{"host.cpu.steal > 50 * percent", Unknown},
		{"!(host.cpu.steal > 50 * percent)", Unknown},
		{"host.cpu.steal > 50 * percent || host.cpu.busy > 50 * percent", True},
		{"host.cpu.steal > 50 * percent && host.cpu.busy > 95 * percent", False},
		{"host.cpu.steal > 50 * percent || host.cpu.busy > 95 * percent", Unknown},
		{"host.cpu.steal > 1/2 ? true : true", Unknown},
		{"host.cpu.busy > 0.5 ? unit.failed : unit.active", False},
		{"(host.cpu.busy > 0.5 ? 100 * ms : 2 * s) < 1 * s", True},
		{"unit.failed == false", True},
		{"unit.failed != unit.active", True},
		{"unit.failed == (host.cpu.steal > 0.1)", Unknown},
		{`unit.state == "active"`, True},
		{`unit.state != "failed"`, True},
		{`"failed" == unit.state`, False},
		{`label.stage == "production"`, True},
		{`label.stage == label.role`, False},
		{`label.nothing == ""`, True},
		{`label["role"] == "web"`, True},
		{`(label.stage == "production" ? "active" : "failed") == unit.state`, True},
		{"unit.memory_bytes > 1 * GiB", True},
		{"unit.memory_bytes / unit.tasks > 100 * MiB", True},
		{"unit.memory_bytes > 0", True},
		{"probe.health.latency > 800 * ms", True},
		{`probe["health"].latency * 2 > 1.7 * s`, True},
		{"probe.ready.ok", Unknown},
		{"absent(probe.ready.ok)", Unknown},
		{"absent(host.cpu.steal)", True},
		{"absent(host.cpu.busy)", False},
		{"probe.health.ok && !absent(host.cpu.busy)", True},
		{`pool["db"].waiting >= 3`, True},
		{"pool.db.waiting / pool.db.active > 1", True},
		{"weekday()", True},
		{`weekday("Europe/Berlin")`, True},
	} {
		p := compile(t, c.src, scope())
		h := newHost(p)
		at := now.Boot - time.Second
		for name, v := range map[string]float64{
			"host.cpu.busy": 0.9, "unit.failed": 0, "unit.active": 1, "unit.state": h.Intern("active"),
			"unit.memory_bytes": 2 << 30, "unit.tasks": 4, "probe.health.latency": 0.9, "probe.health.ok": 1,
			"pool.db.waiting": 3, "pool.db.active": 2,
		} {
			h.set(at, name, v)
		}
		if s := h.store.Lookup(key("host.cpu.steal")); s != nil {
			s.Unknown(at)
		}
		if got := p.Bind(h).Eval(now); got != c.want {
			t.Errorf("%s is %v, want %v", c.src, got, c.want)
		}
	}
}
