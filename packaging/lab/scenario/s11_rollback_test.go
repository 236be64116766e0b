//go:build lab

package scenario

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
)

// The shop's releases are in a folder each, and a link leads to the one that runs.
const (
	releases = "/srv/shop/releases"
	current  = "/srv/shop/current"
)

// rollbackRemedy goes at the end of the shop's service.
const rollbackRemedy = `
  release = "` + current + `"
  remedy "rollback" "previous-release" {
    releases   = "` + releases + `"
    good_after = "5s"
    verify {
      when   = probe.health.ok && probe.work.ok
      within = "20s"
      hold   = "1s"
    }
  }
}

`

// TestRollback: a bad release comes to all hosts at once. The breaker opens; the one host that a person lets through goes
// back to the release that ran well there, and that is proved; when the person has seen it and closes the breaker, the
// others follow, one by one.
func TestRollback(t *testing.T) {
	f := open(t)
	f.takeReleases()
	f.eventually(upTime, "every host knows release 1 to be good", func() string {
		for _, h := range f.web {
			if f.sh(h, "journalctl -q -u salve-agent -g 'a version has run well' || true") == "" {
				return h.Name + " does not"
			}
		}
		return ""
	})

	f.tell("a bad release comes to all hosts")
	f.each(f.web, func(ctx context.Context, h *booted.Host) error {
		_, err := h.Exec(ctx, "sh", "-c", "ln -s releases/2 /srv/shop/next && mv -T /srv/shop/next "+current+" && systemctl restart "+shop)
		return err
	})
	fault := time.Now()
	f.eventually(upTime, "the breaker opens", func() string {
		if !f.breakerOpen() {
			return "it is closed"
		}
		return ""
	})
	f.eventually(upTime, "nothing is on its way", func() string {
		permits, err := f.permits()
		if len(permits) > 0 {
			return "a permit is open"
		}
		return text(err)
	})
	bad := f.on("releases/2")
	if len(bad) < 3 {
		t.Fatalf("the breaker is open, and %d hosts went back, where one may go first", len(f.web)-len(bad))
	}
	f.pass(5 * time.Second)
	if n := len(f.on("releases/2")); n != len(bad) {
		t.Errorf("%d hosts went back while the breaker was open", len(bad)-n)
	}

	f.tell("a person lets %s through", bad[0].Name)
	f.ask("breaker", "approve", "shop", "shop-fails", bad[0].Name)
	f.eventually(upTime, bad[0].Name+" is back, and well", func() string {
		if story, err := f.salveOn(bad[0], "agent", "explain", "last"); !strings.Contains(story, "previous-release healed it") {
			return story + text(err)
		}
		return f.ill(bad[0])
	})
	if n := len(f.on("releases/2")); n != len(bad)-1 {
		t.Errorf("one host was let through, and %d went back", len(bad)-n)
	}

	f.tell("a person has seen it, and closes the breaker")
	since := time.Now()
	f.ask("breaker", "close", "shop", "shop-fails")
	f.eventually(upTime, "all hosts are back", func() string {
		if left := f.on("releases/2"); len(left) > 0 {
			return left[0].Name + " is not"
		}
		return ""
	})
	f.awaitWell()
	f.neverTwoOut(since, len(bad)-1)
	t.Logf("from the bad release on four hosts to all back on the good one: %.1f s, with one approval and one look of a person",
		time.Since(fault).Seconds())
}

// on are the hosts whose link leads there.
func (f *fleet) on(release string) (out []*booted.Host) {
	f.t.Helper()
	for _, h := range f.web {
		if strings.TrimSpace(f.sh(h, "readlink "+current)) == release {
			out = append(out, h)
		}
	}
	return out
}

// takeReleases lets the shop of every host run from a release, and takes that back at the end of the test.
func (f *fleet) takeReleases() {
	f.t.Helper()
	const unit = "/etc/systemd/system/" + shop
	again := "systemctl daemon-reload && systemctl restart " + shop + " && systemctl restart salve-agent"
	f.t.Cleanup(func() {
		for _, h := range f.web {
			f.write(h, unit, shopUnit, 0o644)
			f.write(h, "/etc/salve/agent.hcl", f.agentConfig(h), 0o644)
			f.write(h, "/etc/salve/rules.d/shop.hcl", shopRules, 0o644)
			f.sh(h, "rm "+folderConf+" && "+again+" && rm -r /srv/shop")
		}
	})
	rules := strings.Replace(shopRules, "}\n\nrule", rollbackRemedy+"rule", 1)
	rules = strings.Replace(rules, "clear     = probe.work.ok\n  for       = \"500ms\"\n  clear_for = \"1s\"\n  try       = [\"restart-it\"]",
		"clear     = probe.work.ok\n  for       = \"500ms\"\n  clear_for = \"1s\"\n  try       = [\"previous-release\"]", 1)
	for _, h := range f.web {
		f.write(h, releases+"/2/cache", "corrupt", 0o644)
		f.sh(h, "mkdir "+releases+"/1 && ln -s releases/1 "+current)
		f.write(h, unit, strings.Replace(shopUnit, cacheFile, current+"/cache", 1), 0o644)
		f.mayWrite(h, "/srv/shop")
		f.write(h, "/etc/salve/agent.hcl", f.agentConfig(h)+"allow {\n  paths   = [\""+current+"\"]\n  actions = [\"rollback\"]\n}\n", 0o644)
		f.write(h, "/etc/salve/rules.d/shop.hcl", rules, 0o644)
		f.sh(h, again)
	}
	f.awaitWell()
}
