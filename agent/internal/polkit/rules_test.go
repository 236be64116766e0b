package polkit

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/glob"
)

// TestRules: one configuration and the file that it makes. UPDATE=1 writes it anew.
func TestRules(t *testing.T) {
	got, err := Rules([]config.Allow{
		{Units: []string{"worker@*.service", "checkout.service"}, Actions: []string{"restart", "start"}},
		{Units: []string{"checkout.service"}, Actions: []string{"set_property", "start"}},
		{Units: []string{`dev-disk-by\x2dlabel-x.swap`, "db[12a-c].service", "job-?.timer"}, Actions: []string{"stop"}},
		{Pools: []string{"db"}, Actions: []string{"reset_pool"}},
		{Host: true, Actions: []string{"reboot"}},
		{Paths: []string{"/etc/systemd/system/checkout.service.d", "/etc/checkout"}, Actions: []string{"rollback_files"}},
		{Exec: []string{"/usr/lib/salve/hooks/*"}, Actions: []string{"exec", "probe", "notify"}},
	}, []string{"salve-agent.*", "-.slice"})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/full.rules", got)
}

// TestListSaysTheSame: what the helper may do is what polkit lets the agent do, on every unit and for every verb.
func TestListSaysTheSame(t *testing.T) {
	allow := []config.Allow{
		{Units: []string{"worker@*.service", "salve-*", "db[12a-c].service"}, Actions: []string{"restart", "stop"}},
		{Units: []string{"worker@1.service"}, Actions: []string{"set_property"}},
		{Exec: []string{"/usr/lib/salve/hooks/*"}, Actions: []string{"exec"}},
		{Packages: []string{"shop*", "common"}, Actions: []string{"rollback_packages"}},
		{Packages: []string{"common"}, Units: []string{"worker@1.service"}, Actions: []string{"rollback_packages", "stop"}},
		{Packages: []string{"other"}, Units: []string{"worker@1.service"}, Actions: []string{"stop"}},
	}
	protected := []string{"salve-agent.*"}
	text, err := List(allow, protected)
	if err != nil {
		t.Fatal(err)
	}
	list, err := helper.ParseList(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(protected, list.Never); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(grant(allow), list.May); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"common", "shop*"}, list.Packages); diff != "" {
		t.Error(diff)
	}
}

// TestReloadsDropIns: systemd may be told to read its units' files again where drop-ins are put back, and nowhere else.
func TestReloadsDropIns(t *testing.T) {
	for path, want := range map[string]bool{
		"/etc/systemd/system/a.service.d": true, "/run/systemd/system/a.service.d": true, "/etc/systemd/system": false, "/etc/a.service.d": false,
		"/etc/systemd/system/*.service.d": false, "/etc/systemd/system/salve-agent.service.d": false, "/etc/systemd/system/a.service.d/x": false,
	} {
		for _, action := range []string{"rollback_files", "rollback", "free_space"} {
			allow, want := []config.Allow{{Paths: []string{path}, Actions: []string{action}}}, want && action == "rollback_files"
			rules, err := Rules(allow, []string{"salve-agent.*"})
			if err != nil || strings.Contains(rules, "org.freedesktop.systemd1.reload-daemon") != want {
				t.Errorf("%s on %s, %v:\n%s", action, path, err, rules)
			}
			text, err := List(allow, []string{"salve-agent.*"})
			if err != nil {
				t.Fatal(err)
			}
			list, err := helper.ParseList(text)
			if err != nil || list.Permits(strings.TrimSuffix(filepath.Base(path), ".d"), "reload-daemon") != want {
				t.Errorf("%s on %s, %v:\n%s", action, path, err, text)
			}
		}
	}
}

// TestNothingAllowed: no allow block means that nothing is, not that everything is.
func TestNothingAllowed(t *testing.T) {
	got, err := Rules(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/empty.rules", got)
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("rules are not those of %s:\n%s", file, diff)
	}
}

// TestRefused: what could end a string, a line or an expression of the file never gets into it.
func TestRefused(t *testing.T) {
	for _, unit := range []string{
		"[", "a[b.service", "[]a].service", "a/b.service", "a b.service", "a\nb.service", "ü.service", "a\x00.service",
	} {
		if text, err := Rules([]config.Allow{{Units: []string{unit}, Actions: []string{"start"}}}, nil); err == nil {
			t.Errorf("rules for %q:\n%s", unit, text)
		}
		if text, err := List([]config.Allow{{Units: []string{unit}, Actions: []string{"start"}}}, nil); err == nil {
			t.Errorf("a list for %q:\n%s", unit, text)
		}
		if text, err := List([]config.Allow{{Packages: []string{unit}, Actions: []string{"rollback_packages"}}}, nil); err == nil {
			t.Errorf("a list for the package %q:\n%s", unit, text)
		}
		if text, err := List(nil, []string{unit}); err == nil {
			t.Errorf("a list without %q:\n%s", unit, text)
		}
	}
}

func TestRegex(t *testing.T) {
	for pattern, want := range map[string]string{
		"web.service":      `^web\.service$`,
		"w-b@*.service":    `^w-b@[^\/]*\.service$`,
		"w***?.service":    `^w[^\/]*[^\/]\.service$`,
		`a\x2d.service`:    `^a\\x2d\.service$`,
		"db[1-3x].service": `^db[\x31-\x33\x78]\.service$`,
		"[^a].service":     `^[^\x61]\.service$`,
		`a"/;].service`:    "",
		`a";].service`:     `^a\x22\x3b\x5d\.service$`,
		"a[z-a].service":   `^a[\x00]\.service$`,
	} {
		got, err := regex(pattern)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("regex(%q) = %q, %v, want %q", pattern, got, err, want)
		}
	}
}

// FuzzRegex: polkit judges as the agent itself does, and no pattern gets out of its expression.
func FuzzRegex(f *testing.F) {
	for _, pattern := range []string{
		"web.service", "*", "w?[a-c^]*.timer", `a\x2d[\]*`, "[^a-z]", "a[", "*a*b*c", "/", "$^(|)+{}",
	} {
		f.Add(pattern, "web.service")
		f.Add(pattern, `a\x2d\`)
	}
	inside := regexp.MustCompile(`^\^([a-zA-Z0-9:_@-]|\\[.\\]|\\x[0-9a-f]{2}|` +
		`\[\^\\/\]\*?|\[\^?(\\x[0-9a-f]{2}(-\\x[0-9a-f]{2})?)+\])*\$$`)
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 255 || len(name) > 255 {
			return
		}
		text, err := regex(pattern)
		if err != nil {
			return
		}
		if !inside.MatchString(text) {
			t.Fatalf("%q became %q", pattern, text)
		}
		if strings.ContainsFunc(name, func(r rune) bool { return r < '!' || r > '~' || r == '/' }) || name == "" {
			return // no unit's name
		}
		got, want := regexp.MustCompile(text).MatchString(name), glob.Match(pattern, name)
		if got != want && pattern != name {
			t.Errorf("%q (%q) on %q: %v, and glob says %v", pattern, text, name, got, want)
		}
	})
}
