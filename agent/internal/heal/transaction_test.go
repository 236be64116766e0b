package heal

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/agent/internal/transaction"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// fullDisk is a host whose remedy for a full disk has these arguments; postgres is a package's.
const fullDisk = `
autonomy = "full"
allow {
  paths   = ["/var/log"]
  actions = ["free_space"]
}
allow {
  units   = ["postgres.service", "worker@1.service"]
  actions = ["start", "reload", "stop", "shed"]
}
---
service "db" {
  unit = "postgres.service"
}
remedy "free_space" "make-room" {
  path = "/var/log"
  ARGS
}
remedy "shed" "less-load" {
  victims = ["postgres.service"]
  how     = "stop"
  by      = "memory"
}
rule "full" {
  when     = host.disk["/var"].used_ratio > 90 * percent
  severity = "critical"
  try      = ["make-room"]
}
`

// left is what act says of a recipe all of whose parts are services of packages, while packages are installed.
func (h *hands) left(room *remedy.FreeSpaceArgs) error {
	file, err := h.p.Holder()
	if file == "" || err != nil || len(room.Files) > 0 {
		return err
	}
	for _, name := range slices.Concat(room.Cleaners, room.Reopen) {
		if u, ok := h.Unit(name); ok && !transaction.Touches(u.FragmentPath) {
			return nil
		}
	}
	return refuseNow(true, "what makes room is left out: a package transaction (%s) may touch it", file)
}

// fills makes the disk full while packages are installed.
func (r *rig) fills() {
	r.change("postgres.service", func(u *systemd.Unit) { u.FragmentPath = "/usr/lib/systemd/system/postgres.service" })
	r.Tells(`host.disk["/var"].used_ratio`, .5)
	r.Advance(3 * time.Second)
	r.Locks("/var/lib/dpkg/lock")
	r.Tells(`host.disk["/var"].used_ratio`, .99)
}

// A full disk does not wait for the end of an upgrade, which may wait for room itself.
func TestRoomDuringAnUpgrade(t *testing.T) {
	for name, args := range map[string]string{
		"files":                         `files = ["*.log.*"]`,
		"a cleaner of a package":        `files = ["*.log.*"]` + "\n" + `cleaners = ["postgres.service"]`,
		"a service of a package":        `files = ["*.log.*"]` + "\n" + `reopen = ["postgres.service"]`,
		"a cleaner of its own":          `cleaners = ["worker@1.service"]`,
		"a cleaner of its own, and one": `cleaners = ["postgres.service", "worker@1.service"]`,
	} {
		t.Run(name, func(t *testing.T) {
			heals(t, strings.Replace(fullDisk, "ARGS", args, 1), func(h *rig) {
				h.fills()
				h.Advance(15 * time.Second)
				h.WantActs("free_space /var/log")
				h.Tells(`host.disk["/var"].used_ratio`, .5)
				h.Advance(time.Minute)
				h.WantOutcomes("", "make-room verified")
				h.WantState("", incident.Resolved)
			})
		})
	}
}

// What cleans up only by a service of a package has to wait for the end, and so has a remedy that changes one.
func TestUpgradeHoldsUp(t *testing.T) {
	cleans := strings.Replace(fullDisk, "ARGS", `cleaners = ["postgres.service"]`, 1)
	for name, c := range map[string]struct{ conf, says, does string }{
		"a cleaner": {cleans, "what makes room is left out: a package transaction (/var/lib/dpkg/lock)", "free_space /var/log"},
		"a victim": {strings.Replace(cleans, `["make-room"]`, `["less-load"]`, 1),
			"a package transaction is under way (/var/lib/dpkg/lock", "shed postgres.service"},
	} {
		t.Run(name, func(t *testing.T) {
			heals(t, c.conf, func(h *rig) {
				h.fills()
				h.Advance(2 * time.Minute)
				h.WantActs()
				h.WantSaid("", c.says)
				h.Locks("")
				h.Advance(15 * time.Second)
				h.WantActs(c.does)
			})
		})
	}
}
