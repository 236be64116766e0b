//go:build lab

package scenario

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/salveops/salve/packaging/lab/booted"
)

// TestDowngrade: one release back works as long as the state is written the same way. Where it is not, the older
// package says so and changes nothing, and the daemon goes on as if nobody had asked.
func TestDowngrade(t *testing.T) {
	f := open(t)
	for name, h := range map[string]*booted.Host{"salve-agent": f.web[2], "salve-controller": f.ctl[1]} {
		t.Run(name, func(t *testing.T) {
			f.install(h, previous, name)
			f.eventually(upTime, name+" is back", func() string { return f.strangers() + f.away(f.ctl[1]) })
			f.installed(h, name, previous)
			f.install(h, release, name)
			f.eventually(upTime, name+" is back", func() string { return f.strangers() + f.away(f.ctl[1]) })

			format := "/usr/share/salve/" + name + ".format"
			before, runs := f.sh(h, "cat "+format), f.invocation(h, name)
			f.write(h, format, "1000\n", 0o644) // as a release would have it that writes its state in another way
			err := f.tryInstall(h, previous, name)
			f.write(h, format, before, 0o644)
			for _, want := range []string{"has format 1000", "Nothing was changed"} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("dpkg does not say %q: %v", want, err)
				}
			}
			f.installed(h, name, release)
			if now := f.invocation(h, name); now != runs {
				t.Errorf("a downgrade was refused, and %s restarted: %s is now %s", name, runs, now)
			}
		})
	}
}

// installed: the package is there whole, in that version, and what it brought was not changed.
func (f *fleet) installed(h *booted.Host, name, version string) {
	f.t.Helper()
	got := f.sh(h, "dpkg-query --show --showformat='${db:Status-Status} ${Version}' "+name)
	if want := "installed " + strings.TrimPrefix(version, "v") + "-1"; got != want {
		f.t.Errorf("%s on %s is %s, and should be %s", name, h.Name, got, want)
	}
	for line := range strings.Lines(f.sh(h, "dpkg --verify "+name+" || true")) {
		if field := strings.Fields(line); field[1] != "c" { // configuration is the person's
			f.t.Errorf("dpkg --verify %s on %s: %s", name, h.Name, line)
		}
	}
}

// invocation is systemd's name for this run of a unit; "inactive" if it does not run.
func (f *fleet) invocation(h *booted.Host, unit string) string {
	f.t.Helper()
	return strings.TrimSpace(f.sh(h, "systemctl is-active --quiet "+unit+" && "+
		"systemctl show --property=InvocationID --value "+unit+" || echo inactive"))
}

// spare is one more host, with no package of Salve's.
func (f *fleet) spare() *booted.Host {
	f.t.Helper()
	hosts := f.lab.Hosts()
	if i := slices.IndexFunc(hosts, func(h *booted.Host) bool { return h.Name == "spare" }); i >= 0 {
		return hosts[i]
	}
	h := f.boot("spare", booted.HostOptions{})
	f.name()
	f.addShop(h)
	return h
}

// TestRemove: a package that is upgraded has the helper go on, too. One that is removed leaves what a person would miss,
// and nothing that runs or grants anything. The same package goes on where that left off. A purge leaves nothing.
func TestRemove(t *testing.T) {
	f := open(t)
	h := f.spare()
	before := f.paths(h)
	f.install(h, previous, "salve-agent", "salve")
	f.write(h, "/etc/salve/agent.hcl", f.aloneConfig(h), 0o644)
	f.write(h, "/etc/salve/rules.d/shop.hcl", shopRules, 0o644)
	f.write(h, "/etc/salve/pager.key", f.pager.Secret+"\n", 0o640)
	f.sh(h, "chgrp salve /etc/salve/pager.key && systemctl reload salve-agent && systemctl enable --quiet --now salve-agent-helper.socket")
	f.healsAlone(h)
	f.install(h, release, "salve-agent", "salve")
	f.installed(h, "salve-agent", release)
	f.runAll(h, helped[:2]...)
	incident := f.healsAlone(h)
	f.sh(h, `salve agent pause shop.service --for 1h --reason "the package is changed"`)

	f.tell("salve-agent is removed")
	f.sh(h, "dpkg --remove salve-agent")
	for _, unit := range helped {
		if now := f.invocation(h, unit); now != "inactive" {
			t.Errorf("%s still runs", unit)
		}
	}
	f.absent(h, "/etc/polkit-1/rules.d/40-salve-agent.rules", "/run/salve-helper/allow", "/run/salve-helper/socket",
		"/run/salve/agent.sock", "/usr/bin/salve-agent")
	if state := f.state(h); state != "active" {
		t.Errorf("the shop is %s without Salve", state)
	}

	f.install(h, release, "salve-agent")
	f.installed(h, "salve-agent", release)
	f.runAll(h, helped[:2]...)
	if out := f.sh(h, "salve agent pause"); !strings.Contains(out, "the package is changed") {
		t.Errorf("the pause is gone:\n%s", out)
	}
	if last, missing := f.lastEnded(h); last != incident {
		t.Errorf("the incident before was %s, and now it is %s%s", incident, last, missing)
	}
	f.sh(h, "salve agent resume shop.service")
	f.healsAlone(h)

	f.tell("all is purged")
	f.sh(h, "rm /etc/salve/rules.d/shop.hcl /etc/salve/pager.key") // which no package brought
	f.sh(h, "dpkg --purge salve-agent salve")
	f.nothingSince(h, before)
}

// helped are the units of an agent with its helper.
var helped = []string{"salve-agent.service", "salve-agent-helper.socket", "salve-agent-helper.service"}

// runAll: all these units are active.
func (f *fleet) runAll(h *booted.Host, units ...string) {
	f.t.Helper()
	for _, unit := range units {
		if now := f.invocation(h, unit); now == "inactive" {
			f.t.Errorf("%s is enabled, and does not run", unit)
		}
	}
}

// aloneConfig is an agent without a controller.
func (f *fleet) aloneConfig(h *booted.Host) string {
	text := f.agentConfig(h)
	begin := strings.Index(text, "controller {")
	return text[:begin] + text[begin+strings.Index(text[begin:], "\n"):]
}

// healsAlone has the shop crash, and returns the incident in which that was healed.
func (f *fleet) healsAlone(h *booted.Host) (incident string) {
	f.t.Helper()
	before := ""
	f.eventually(upTime, "the agent runs", func() (missing string) { before, missing = f.lastEnded(h); return missing })
	f.crash(h)
	f.eventually(upTime, "the shop is healed", func() (missing string) {
		incident, missing = f.lastEnded(h)
		if incident == before && missing == "" {
			return "there is no incident"
		}
		return missing + f.ill(h)
	})
	return incident
}

func (f *fleet) absent(h *booted.Host, paths ...string) {
	f.t.Helper()
	for _, path := range paths {
		if out := f.sh(h, "ls -d "+path+" 2>/dev/null || true"); out != "" {
			f.t.Errorf("%s is left", path)
		}
	}
}

// paths are all files of a host.
func (f *fleet) paths(h *booted.Host) map[string]bool {
	f.t.Helper()
	out := map[string]bool{}
	for path := range strings.Lines(f.sh(h, "find / /run "+booted.State+" -xdev")) {
		out[strings.TrimSuffix(path, "\n")] = true
	}
	return out
}

// stays matches what a purge does not take away: the users and what was written into logs. The rest belongs to dpkg, to
// systemd, to the shop, and to whoever laid the packages there.
var stays = regexp.MustCompile(`^/etc/(passwd|group|shadow|gshadow)-$|^/etc/\.pwd\.lock$|^/var/log/|` +
	`^/run/systemd/|^/var/lib/shop/|^/root/[^/]*\.deb$`)

// nothingSince: a host has no files that it had not before.
func (f *fleet) nothingSince(h *booted.Host, before map[string]bool) {
	f.t.Helper()
	for path := range f.paths(h) {
		if !before[path] && !stays.MatchString(path) {
			f.t.Errorf("%s has %s now", h.Name, path)
		}
	}
}

// TestOldData: a program that is installed anew opens the state folder that code of another day wrote, finds every word
// of it, and goes on.
func TestOldData(t *testing.T) {
	f := open(t)
	h := f.spare()
	before := f.paths(h)
	for _, c := range []struct {
		program, folder, config string
		questions               [][2]string // a command of salve, and what it must tell
	}{
		{"salve-agent", "../../../agent/internal/journal/testdata/opened-for-ever", f.aloneConfig(h), [][2]string{
			{"agent incidents", "fedcba98"}, // the other one is so old that it is forgotten
			{"agent explain fedc", "the agent was restarted while restart-app was under way"},
			{"agent pause", "release"},
			{`agent pause shop.service --for 1h --reason "and it goes on"`, ""},
			{"agent pause", "and it goes on"},
		}},
		{"salve-controller", "../../../controller/internal/node/testdata/opened-for-ever", `node = "ctl-1"` + f.people(), [][2]string{
			{"hosts", "web-1"},
			{"permits", "restart-app"},
			{"incidents", "checkout"},
			{"silence", "known"},
			{`pause service:checkout --for 1h --wait 0s --reason "and it goes on"`, ""},
			{"pause", "and it goes on"},
			{"audit verify", ""},
		}},
	} {
		formats, err := filepath.Glob(c.folder + "/v*")
		if err != nil || len(formats) == 0 {
			t.Fatalf("no state folders in %s: %v", c.folder, err)
		}
		for _, format := range formats {
			t.Run(c.program+" "+filepath.Base(format), func(t *testing.T) {
				f.install(h, release, c.program, "salve")
				f.write(h, "/etc/salve/"+strings.TrimPrefix(c.program, "salve-")+".hcl", c.config, 0o644)
				f.write(h, "/etc/salve/pager.key", f.pager.Secret+"\n", 0o644)
				f.giveState(h, c.program, format+"/data")
				for _, q := range c.questions {
					f.eventually(upTime, "salve "+q[0]+" tells of "+q[1], func() string {
						out, err := h.Exec(f.ctx(), "sh", "-c", "salve "+q[0])
						if err == nil && strings.Contains(out, q[1]) {
							return ""
						}
						return out + text(err)
					})
				}
				f.sh(h, "rm /etc/salve/pager.key && dpkg --purge salve "+c.program)
				f.nothingSince(h, before)
			})
		}
	}
}

// giveState starts a program with a state folder from elsewhere.
func (f *fleet) giveState(h *booted.Host, program, from string) {
	f.t.Helper()
	state := booted.State + "/" + strings.TrimPrefix(program, "salve-")
	f.sh(h, "systemctl stop "+program+" && find "+state+" -mindepth 1 -delete")
	f.must(os.CopyFS(h.Root()+state, os.DirFS(from)))
	f.sh(h, "chown -R --reference="+state+" "+state+" && chmod -R go= "+state+" && systemctl enable --quiet --now "+program)
}
