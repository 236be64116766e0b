//go:build lab

package scenario

import (
	"fmt"
	"strings"
	"testing"

	"github.com/salveops/salve/packaging/lab/booted"
)

// TestShellOfTheAgent: whoever has a shell as the agent's user can do to units what the allow blocks say, and nothing
// else. He cannot change what they say, whoever reads it, and reads no secret but the agent's own.
func TestShellOfTheAgent(t *testing.T) {
	f := open(t)
	h := f.target("shell")
	for _, line := range permitted {
		if _, err := f.asAgent(h, line); err != nil {
			t.Errorf("what is allowed: %v", err)
		}
	}
	was := f.sh(h, untouched)
	for _, line := range forbidden {
		if out, err := f.asAgent(h, line); err == nil {
			t.Errorf("the agent's user may: %s\n%s", line, out)
		}
	}
	if now := f.sh(h, untouched); now != was {
		t.Errorf("it was\n%s\nand is\n%s", was, now)
	}
}

// permitted is what proves that the others are forbidden by what they are.
var permitted = []string{
	"systemctl restart web.service",
	"systemctl start worker@1.service",
	manager("RestartUnit", "ss", "web.service replace"),
	"touch /var/lib/salve/agent/mine",
}

// untouched prints what must be the same after all attacks.
const untouched = `systemctl show --property=Id,ActiveState,InvocationID,CPUWeight,LoadState victim.service
systemctl show --property=Id,CPUWeight,LoadState,UnitFileState web.service
sha256sum /etc/passwd /etc/shadow /etc/polkit-1/rules.d/* /usr/bin/salve-agent
sha256sum /etc/salve/agent.hcl /etc/salve/rules.d/* /opt/hooks/*
find /etc/systemd/system /run/systemd/transient /run/systemd/system /run/salve-helper /var/lib/salve -maxdepth 1 | sort
systemctl show-environment`

var forbidden = []string{
	// other units, by whatever name
	"systemctl restart victim.service",
	"systemctl start victim.service",
	"systemctl stop victim.service",
	"systemctl reload-or-restart victim.service",
	"systemctl kill victim.service",
	"systemctl reset-failed victim.service",
	"systemctl set-property --runtime victim.service CPUWeight=1",
	"systemctl restart alias.service", // is victim.service
	manager("RestartUnit", "ss", "alias.service replace"),
	manager("RestartUnit", "ss", "../victim.service replace"),
	manager("RestartUnit", "ss", "worker@../victim.service replace"),
	manager("RestartUnit", "ss", "'worker@1.service victim.service' replace"),
	manager("RestartUnit", "ss", "worker@*.service replace"),
	manager("KillUnit", "ssi", "victim.service all 9"),
	"systemctl stop salve-agent-helper.socket",

	// other things with units that are allowed
	"systemctl stop web.service",
	"systemctl kill web.service",
	"systemctl freeze web.service",
	"systemctl clean --what=all web.service",
	"systemctl set-property web.service CPUWeight=1",
	"systemctl set-property --runtime web.service CPUWeight=1",
	manager("BindMountUnit", "sssbb", "web.service /tmp /etc false true"),
	manager("AttachProcessesToUnit", "ssau", "web.service / 1 1"),

	// units of his own, also under a name that is allowed
	"systemd-run true",
	"systemd-run --scope true",
	"systemd-run --unit=worker@mine.service true",

	// unit files, and the manager itself
	"systemctl mask web.service",
	"systemctl mask --runtime victim.service",
	"systemctl enable victim.service",
	"systemctl disable web.service",
	"systemctl link /tmp/mine.service",
	"systemctl set-default rescue.target",
	"systemctl set-environment LD_PRELOAD=/tmp/mine.so",
	"systemctl daemon-reload",
	"systemctl daemon-reexec",
	"systemctl log-level debug",

	// what polkit, the helper, systemd and root go by
	"echo > /etc/polkit-1/rules.d/00-mine.rules",
	"echo > /etc/polkit-1/rules.d/40-salve-agent.rules",
	"ln -s /tmp/mine /etc/polkit-1/rules.d/.40-salve-agent.rules.new",
	"salve-agent polkit-rules /etc/polkit-1/rules.d/40-salve-agent.rules",
	"echo > /etc/salve/agent.hcl",
	"echo > /etc/salve/rules.d/mine.hcl",
	"mv /etc/salve/rules.d /tmp/",
	"echo > /run/salve-helper/allow",
	"mv /run/salve-helper/allow /tmp/",
	"mv /run/salve-helper/socket /tmp/",
	"mv -T /run/salve /run/mine",
	"mv -T /var/lib/salve/agent /var/lib/salve/mine",
	"echo > /var/lib/salve/mine",
	"echo > /opt/hooks/good",
	"touch /opt/hooks/mine",
	"echo > /usr/bin/salve-agent",
	"echo > /etc/systemd/system/mine.service",
	"mkdir /run/systemd/system/web.service.d",

	// secrets of root and of the controller
	"cat /etc/shadow",
	"cat /root/secret",
	"cat /etc/salve/tls/ca-key.pem",
	"cat /etc/salve/tls/ctl-key.pem",
	"ls /var/lib/salve/controller",

	// and what would end the others, if it worked
	"systemctl stop salve-agent.service",
	"systemctl isolate rescue.target",
	"systemctl restart dbus.service",
	"systemctl reboot",
}

// manager is a call of systemd's own, past the checks of systemctl.
func manager(method, signature, args string) string {
	return "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager " +
		method + " " + signature + " " + args
}

// TestHooks: a hook runs as the agent's user in the agent's sandbox, whatever lies on the host. One that somebody else
// could have changed does not run at all, by whatever way he could.
func TestHooks(t *testing.T) {
	f := open(t)
	h := f.target("hooks")
	if out, err := f.asAgent(h, "/opt/trap/id -u"); err != nil || strings.TrimSpace(out) != "0" {
		t.Fatalf("the trap makes nobody root: %q, %v", out, err)
	}
	f.runHook(h, "")
	out, _ := h.Read("/var/lib/salve/agent/said")
	if user := strings.TrimSpace(f.sh(h, "id -u salve")); out != user+"\n"+user+"\n" {
		t.Errorf("the hook says of what it can do, as user %s:\n%s", user, out)
	}
	for _, c := range spoilt {
		f.sh(h, "rm -f /var/lib/salve/agent/said; "+c.spoil)
		f.runHook(h, c.want)
		if out, err := h.Read("/var/lib/salve/agent/said"); err == nil {
			t.Errorf("after %s it ran: %s", c.spoil, out)
		}
		f.sh(h, c.mend)
	}
	f.runHook(h, "")
}

// hook says who it is, and what it can do beyond that: it should be nothing.
const hook = `#!/bin/sh
exec > /var/lib/salve/agent/said
id -u
/opt/trap/id -u
for file in /etc/mine /usr/bin/mine /opt/hooks/mine /run/mine /etc/salve/rules.d/mine.hcl; do
	echo mine 2>/dev/null > $file && echo it can write $file
done
cat /etc/shadow 2>/dev/null && echo it can read secrets
systemctl stop victim.service 2>/dev/null && echo it can stop other units
exit 0
`

var spoilt = []struct{ spoil, want, mend string }{
	{"chmod o+w /opt/hooks/good", "/opt/hooks/good can be changed by others", "chmod o-w /opt/hooks/good"},
	{"chmod o+w /opt/hooks", "/opt/hooks can be changed by others", "chmod o-w /opt/hooks"},
	{"chmod o+w /opt", "/opt can be changed by others", "chmod o-w /opt"},
	{"chown nobody /opt/hooks/good", "/opt/hooks/good belongs to user", "chown root /opt/hooks/good"},
	{
		"mkdir -m 777 /srv/open; mv /opt/hooks/good /srv/open; ln -s /srv/open/good /opt/hooks/good",
		"/srv/open can be changed by others", "mv /srv/open/good /opt/hooks/good; rmdir /srv/open",
	},
	{
		"mkdir -m 777 /srv/open; mv /opt/hooks/good /opt/; ln -s /opt/good /srv/open/hop; " +
			"ln -s /srv/open/hop /opt/hooks/good",
		"/srv/open can be changed by others", "mv /opt/good /opt/hooks/good; rm -r /srv/open",
	},
}

// runHook runs the hook as a person asks for it; want is why it does not run, "" if it does.
func (f *fleet) runHook(h *booted.Host, want string) {
	f.t.Helper()
	out, err := f.salveOn(h, "agent", "run", "hook")
	if (err == nil) != (want == "") || !strings.Contains(out+text(err), want) {
		f.t.Errorf("the hook, which shall say %q: %s%v", want, out, err)
	}
}

// TestLinksInTheState: links in the agent's own folder lead it to no file of somebody else.
func TestLinksInTheState(t *testing.T) {
	f := open(t)
	h := f.target("links")
	was := f.sh(h, "sha256sum /etc/passwd /etc/group")
	f.stopped(h, "salve-agent", func() {
		for _, line := range []string{"journal.db /etc/passwd", "journal.new /etc/group", "journal.compact /etc/group"} {
			name, to, _ := strings.Cut(line, " ")
			if _, err := f.asAgent(h, fmt.Sprintf("ln -sf %s %s/%s", to, agentState, name)); err != nil {
				t.Error(err)
			}
		}
	})
	f.says(h, "is healthy")
	if now := f.sh(h, "sha256sum /etc/passwd /etc/group"); now != was {
		t.Errorf("it was\n%s\nand is\n%s", was, now)
	}
}

// asAgent runs a shell's line as the agent's user, outside of the agent's sandbox.
func (f *fleet) asAgent(h *booted.Host, line string) (string, error) {
	return h.Exec(f.ctx(), "setpriv", "--reuid=salve", "--regid=salve", "--init-groups", "--inh-caps=-all",
		"sh", "-c", "cd /tmp && "+line)
}

// target is a machine of its own for attacks, with an agent that may do little, and a controller's secrets.
func (f *fleet) target(name string) *booted.Host {
	f.t.Helper()
	h := f.machine(name)
	f.must(f.tryInstall(h, release, "salve-controller"))
	for path, text := range map[string]string{
		"/etc/systemd/system/web.service":     sleeper,
		"/etc/systemd/system/victim.service":  sleeper,
		"/etc/systemd/system/worker@.service": sleeper,
		"/etc/salve/agent.hcl":                targetConfig,
		"/etc/salve/rules.d/web.hcl":          targetRules,
		"/root/secret":                        "secret",
		"/tmp/mine.service":                   sleeper,
	} {
		f.write(h, path, text, 0o644)
	}
	f.write(h, "/opt/hooks/good", hook, 0o755)
	f.sh(h, `chmod 700 /root && mkdir -p /opt/trap && install -m 4755 /usr/bin/id /opt/trap/id &&
ln -s victim.service /etc/systemd/system/alias.service &&
salve-controller init --dir /etc/salve/tls --node ctl --address 127.0.0.1 >/dev/null &&
chown -R salve-controller: /etc/salve/tls &&
systemctl daemon-reload && systemctl start web.service victim.service worker@1.service salve-agent.service`)
	f.says(h, "is healthy")
	return h
}

const sleeper = `[Service]
ExecStart=/bin/sleep infinity
`

const targetConfig = `
autonomy = "full"
per_hour = 100
allow {
  units   = ["web.service", "alias.service", "worker@*.service"]
  actions = ["start", "restart"]
}
allow {
  exec    = ["/opt/hooks/*"]
  actions = ["exec"]
}
`

const targetRules = `
service "web" {
  unit    = "web.service"
  startup = "0s"
  remedy "exec" "hook" {
    command  = ["/opt/hooks/good"]
    attempts = 100
    cooldown = "0s"
    verify {
      when   = unit.active
      within = "5s"
      hold   = "0s"
    }
  }
}
rule "web-down" {
  services = ["web"]
  when     = unit.failed
  try      = ["hook"]
}
`
