package signal

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePath(t *testing.T) {
	for _, c := range []struct {
		name, canonical string
		want            Path
	}{
		{"unit.cpu", "unit.cpu", Path{Family: "unit", Field: "cpu"}},
		{"host.psi.io.full", "host.psi.io.full", Path{Family: "host.psi.io", Field: "full"}},
		{`host.disk["/var/lib"].used_ratio`, `host.disk["/var/lib"].used_ratio`,
			Path{Family: "host.disk", Key: "/var/lib", Field: "used_ratio"}},
		{`host.disk["*"].used_ratio`, `host.disk["*"].used_ratio`, Path{"host.disk", AnyKey, "used_ratio"}},
		{"probe.health.ok", "probe.health.ok", Path{"probe", "health", "ok"}},
		{`probe["health-2"].ok`, "probe.health-2.ok", Path{"probe", "health-2", "ok"}},
		{`pool["my db"].waiting`, `pool["my db"].waiting`, Path{"pool", "my db", "waiting"}},
		{`host.disk["a\"b\\c]"].x`, `host.disk["a\"b\\c]"].x`, Path{"host.disk", `a"b\c]`, "x"}},
		{"metric.p99", "metric.p99", Path{Family: "metric", Field: "p99"}},
	} {
		got, err := ParsePath(c.name)
		if err != nil {
			t.Errorf("%s: %s", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if got.String() != c.canonical {
			t.Errorf("%s is written %s, want %s", c.name, got, c.canonical)
		}
	}
}

func TestParsePathRefuses(t *testing.T) {
	for _, name := range []string{
		"", "host", ".", "host.", ".cpu", "host..cpu", "host.1cpu", "host.cpu busy", "unit.-cpu",
		`host.disk[/var].x`, `host.disk['/var'].x`, "host.disk[`/var`].x", `host.disk["/var"]`, `host.disk["/var"]x`,
		`host.disk["/var"].`, `host.disk["/var`, `host.disk[""].x`, `["/"].x`, `host.disk["/"].x["y"]`, "ünit.cpu",
	} {
		if p, err := ParsePath(name); err == nil {
			t.Errorf("%q is read as %+v", name, p)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	f.Add("unit.cpu")
	f.Fuzz(func(t *testing.T, name string) {
		Suggest(name)
		p, err := ParsePath(name)
		if err != nil {
			return
		}
		again, err := ParsePath(p.String())
		if err != nil || again != p {
			t.Errorf("%q is %+v, written %s, which is read as %+v, %v", name, p, p, again, err)
		}
	})
}
