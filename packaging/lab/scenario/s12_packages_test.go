//go:build lab

package scenario

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
)

// packagesRemedy goes at the end of the shop's service.
const packagesRemedy = `
  remedy "rollback_packages" "previous-packages" {
    packages   = ["shop-data"]
    good_after = "3s"
    verify {
      when   = probe.health.ok && probe.work.ok
      within = "20s"
      hold   = "1s"
    }
  }
}

`

// packager is a manager of packages, in lines of shell.
type packager struct {
	// repository makes versions 1.0-1 and 2.0-1 of shop-data in /srv/repository, which is all that there is for the host then, and
	// installs the first. takeBack takes that back.
	repository, takeBack string

	upgrade    string // installs the second version
	upgradeAll string // upgrades the host
	installed  string // says what is installed of shop-data, as dpkg has it
	journal    string // what it says itself when it goes back
}

var apt = packager{
	repository: `mkdir -p /srv/repository && cd /srv/repository
for v in 1.0-1 2.0-1; do
  mkdir -p $v/DEBIAN $v/opt/shop-data
  printf 'Package: shop-data\nVersion: %s\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: of the lab\n' $v > $v/DEBIAN/control
done
echo corrupt > 2.0-1/opt/shop-data/cache
touch 1.0-1/opt/shop-data/none
for v in 1.0-1 2.0-1; do
  dpkg-deb -Znone --build $v shop-data_$v.deb
  { cat $v/DEBIAN/control; echo "Filename: ./shop-data_$v.deb"; echo "Size: $(stat -c %s shop-data_$v.deb)"
    echo "SHA256: $(sha256sum shop-data_$v.deb | cut -d' ' -f1)"; echo; } >> Packages
done
mv /etc/apt/sources.list /srv/sources.list
echo 'deb [trusted=yes] file:/srv/repository ./' > /etc/apt/sources.list
apt-get update -q && apt-get install -q -y shop-data=1.0-1`,
	takeBack:   "mv /srv/sources.list /etc/apt/sources.list; dpkg --purge --force-hold shop-data",
	upgrade:    "apt-get install -q -y shop-data=2.0-1",
	upgradeAll: "apt-get upgrade -q -y",
	installed:  "dpkg-query --show --showformat='${Status} ${Version}' shop-data",
	journal:    "downgrading shop-data from 2.0-1 to 1.0-1",
}

// TestPackages: an upgrade brings bad data. The agent says what could be done, and that it takes a person; the person looks first,
// and then has the version back that ran well, which is held from then on.
func TestPackages(t *testing.T) { open(t).goBack(apt) }

// goBack is the story, on the first host.
func (f *fleet) goBack(with packager) {
	f.t.Helper()
	h := f.web[0]
	f.takePackages(h, with)
	f.eventually(upTime, "version 1.0-1 is known to be good", func() string {
		if f.sh(h, "journalctl -q -u salve-agent -g 'version has run well.*shop-data=1.0-1' || true") == "" {
			return "it is not"
		}
		return ""
	})

	f.tell("an upgrade brings bad data")
	f.sh(h, with.upgrade+" && systemctl restart "+shop)
	fault := time.Now()
	f.eventually(upTime, "people are told what could be done", func() string {
		const want = "shop-data=1.0-1 could be installed in the place of shop-data=2.0-1, which takes a person: salve agent run shop/previous-packages"
		if story, err := f.salveOn(h, "agent", "explain", "last"); !strings.Contains(story, want) {
			return story + text(err)
		}
		return ""
	})
	if got := f.sh(h, with.installed); got != "install ok installed 2.0-1" {
		f.t.Fatalf("without a person it is %s", got)
	}

	f.tell("a person looks, and says so")
	out, err := f.runPrevious(h, "--dry-run")
	if err != nil || !strings.Contains(out, "install shop-data=1.0-1 instead of 2.0-1, and hold it") {
		f.t.Errorf("a look: %v, %s", err, out)
	}
	out, err = f.runPrevious(h)
	if err != nil || !strings.Contains(out, "verified") {
		f.t.Errorf("run: %v, %s", err, out)
	}
	if got := f.sh(h, with.installed); got != "hold ok installed 1.0-1" {
		f.t.Errorf("it is %s", got)
	}
	f.eventually(upTime, "the shop is well", func() string { return f.ill(h) })
	f.sh(h, with.upgradeAll)
	if got := f.sh(h, with.installed); got != "hold ok installed 1.0-1" {
		f.t.Errorf("after an upgrade of the host it is %s", got)
	}
	if log := f.sh(h, "journalctl -q -u salve-packages -u salve-agent-helper"); !strings.Contains(log, with.journal) ||
		!strings.Contains(log, "verb=install") {
		f.t.Errorf("the host's journal says\n%s", log)
	}
	f.t.Logf("from the upgrade to a service that is well again, with a person who looks first: %.1f s", time.Since(fault).Seconds())
}

// runPrevious has the remedy run by hand, once the agent itself is not about to find out what it could do.
func (f *fleet) runPrevious(h *booted.Host, flags ...string) (out string, err error) {
	f.t.Helper()
	f.eventually(upTime, "a person may run it", func() string {
		ctx, cancel := context.WithTimeout(f.ctx(), upTime)
		defer cancel()
		out, err = h.Exec(ctx, append([]string{"salve", "agent", "run", "shop/previous-packages"}, flags...)...)
		if strings.Contains(out, "refused: previous-packages is running on") {
			return out
		}
		return ""
	})
	return out, err
}

// takePackages lets the shop of a host run from a package, and takes that back at the end of the test.
func (f *fleet) takePackages(h *booted.Host, of packager) {
	f.t.Helper()
	const unit = "/etc/systemd/system/" + shop
	f.t.Cleanup(func() {
		f.write(h, unit, shopUnit, 0o644)
		f.write(h, "/etc/salve/agent.hcl", f.agentConfig(h), 0o644)
		f.write(h, "/etc/salve/rules.d/shop.hcl", shopRules, 0o644)
		f.sh(h, of.takeBack+"; rm -r /srv/repository; "+
			"systemctl disable --quiet --now salve-agent-helper.socket; "+
			"systemctl daemon-reload && systemctl restart "+shop+" && systemctl restart salve-agent")
	})
	f.sh(h, "set -e\n"+of.repository)
	rules := strings.Replace(shopRules, "}\n\nrule", packagesRemedy+"rule", 1)
	rules = strings.Replace(rules, "clear     = probe.work.ok\n  for       = \"500ms\"\n  clear_for = \"1s\"\n  try       = [\"restart-it\"]",
		"clear     = probe.work.ok\n  for       = \"500ms\"\n  clear_for = \"1s\"\n  try       = [\"previous-packages\"]", 1)
	f.write(h, unit, strings.Replace(shopUnit, cacheFile, "/opt/shop-data/cache", 1), 0o644)
	f.write(h, "/etc/salve/agent.hcl", f.agentConfig(h)+"allow {\n  packages = [\"shop-data\"]\n  actions  = [\"rollback_packages\"]\n}\n", 0o644)
	f.write(h, "/etc/salve/rules.d/shop.hcl", rules, 0o644)
	f.sh(h, "systemctl enable --quiet --now salve-agent-helper.socket; systemctl daemon-reload && systemctl restart "+shop+
		" && systemctl restart salve-agent")
	f.awaitWell()
}
