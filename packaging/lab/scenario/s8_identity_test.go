//go:build lab

package scenario

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
	"github.com/salveops/salve/proto/adminpb"
)

// heartbeat is how often an agent and its node hear of each other.
const heartbeat = 2 * time.Second

// agentState is the agent's folder: its ID, its identity, its journal.
const agentState = "/var/lib/salve/agent"

// TestRevokedHost: a host that is revoked is cut off within a heartbeat and does not come back with its certificate;
// it starts what is dead all the same, and comes back by a token that a person makes for it.
func TestRevokedHost(t *testing.T) {
	f := open(t)
	h := f.web[1]
	f.audit.expect("revoke")
	f.revoke(h)
	f.goneWithin(heartbeat, h)
	f.sh(h, "systemctl restart salve-agent")
	f.says(h, "tls: bad certificate")
	f.startsAlone(h)
	f.letIn(h)
	f.awaitWell()
	f.healsByPermit(h)
}

// TestStolenIdentity: whoever copies a host's state to another machine gets nothing: both are turned away until a
// person says which is which. The true host starts what is dead and does nothing that needs a permit. The thief stays
// out once the host has a new certificate.
func TestStolenIdentity(t *testing.T) {
	f := open(t)
	h := f.web[0]
	f.audit.expect("quarantine", "revoke", "adopt")
	thief := f.copyOf(h, "thief")
	f.quarantined(h, "its fingerprint differs")
	f.says(h, "turned away (quarantined)")
	f.says(thief, "turned away (quarantined)")
	f.startsAlone(h)
	f.doesNotHeal(h, "restart-it has no permit")
	f.revoke(h)
	f.ask("hosts", "adopt", h.Name, "--fingerprint", f.known(h).GetHost().GetFingerprint())
	f.letIn(h)
	f.awaitWell() // also what was ill
	f.sh(thief, "systemctl restart salve-agent")
	f.says(thief, "tls: bad certificate")
}

// TestClonedHost: a copy of a host that even takes itself for the same machine is found out by its boot. Both are
// turned away, until a person has switched one of them off and adopts the other.
func TestClonedHost(t *testing.T) {
	f := open(t)
	h := f.web[2]
	f.audit.expect("quarantine", "adopt")
	clone := f.copyOf(h, "clone", "/etc/machine-id")
	f.quarantined(h, "two machines say that they are "+h.Name)
	f.says(h, "turned away (quarantined)")
	f.startsAlone(h)
	f.doesNotHeal(h, "restart-it has no permit")
	f.off(clone)
	f.ask("hosts", "adopt", h.Name)
	f.sh(h, "systemctl restart salve-agent") // which would wait half a minute
	f.awaitWell()                            // also what was ill
}

// TestTokens: a token lets one machine in, once, in its time, at the controller that made it.
func TestTokens(t *testing.T) {
	f := open(t)
	stranger, h := f.machine("stranger"), f.web[0]
	used := f.token("--host", h.Name)
	f.write(stranger, "/etc/salve/agent.hcl", "controller {\n  addresses = ["+f.quoted(":7600")+"]\n}\n", 0o644)
	f.enrolls(stranger, used, "this token is for another host")
	f.enrolls(h, used, "")
	f.enrolls(h, used, "this token was used already, by host "+h.Name)
	f.enrolls(h, f.token(), "is known already")
	short := f.token("--ttl", "2s")
	f.pass(3 * time.Second)
	f.enrolls(stranger, short, "this token has ended")
	good := f.token()
	f.enrolls(stranger, with(good, 4, "A"), "another authority")
	f.enrolls(stranger, with(good, 3, "A"), "this token is not known here")
}

// TestExpiredAuthority: when the authority has ended, every line is refused, and everybody who asks hears why; hosts
// start what is dead all the same. Once the clocks are right again so is everything else.
func TestExpiredAuthority(t *testing.T) {
	f := open(t)
	h, was := f.web[3], time.Duration(f.offset.Load())
	f.clock(was + 11*365*24*time.Hour)
	f.says(h, "certificate has expired")
	f.logs(h, "the certificate has ended")
	if _, err := f.salve("status"); err == nil || !strings.Contains(err.Error(), "expired certificate") {
		t.Error("people at the desk do not hear why: ", err)
	}
	f.startsAlone(h)
	f.clock(was)
	f.awaitWell()
}

// with is a token with one of its parts changed: 2 is its ID, 3 its secret, 4 the fingerprint of the authority.
func with(token string, part int, text string) string {
	parts := strings.Split(strings.TrimSpace(token), ".")
	parts[part] = text + parts[part][len(text):]
	return strings.Join(parts, ".")
}

// enrolls lets a machine use a token, which works or is refused with those words.
func (f *fleet) enrolls(h *booted.Host, token, refusal string) {
	f.t.Helper()
	f.write(h, "/root/token", token, 0o600)
	_, err := h.Exec(f.ctx(), "salve-agent", "enroll", "--token-file", "/root/token")
	if (err == nil) != (refusal == "") || !strings.Contains(text(err), refusal) {
		f.t.Errorf("%s enrolls: %v, want %q", h.Name, err, refusal)
	}
}

// revoke shuts a host out.
func (f *fleet) revoke(h *booted.Host) {
	f.t.Helper()
	f.tell("%s is revoked", h.Name)
	f.ask("enroll", "revoke", h.Name, "--reason", "its key was seen elsewhere", "--yes")
}

// letIn lets a host in again, as a person does it.
func (f *fleet) letIn(h *booted.Host) {
	f.t.Helper()
	f.tell("%s is let in again", h.Name)
	f.enrolls(h, f.token("--host", h.Name), "")
	f.sh(h, "systemctl restart salve-agent") // which would wait a quarter of a minute
}

// goneWithin waits until a host has no session any more. How long the last question takes does not count.
func (f *fleet) goneWithin(limit time.Duration, h *booted.Host) {
	f.t.Helper()
	since := time.Now()
	var asked time.Time
	f.eventually(upTime, h.Name+" is cut off", func() string {
		asked = time.Now()
		if f.known(h).GetConnected() {
			return "it is connected"
		}
		return ""
	})
	f.t.Logf("%s was cut off within %v", h.Name, time.Since(since).Round(time.Millisecond))
	if took := asked.Sub(since); took > limit {
		f.t.Errorf("%s was still connected %v after it was revoked, want %v", h.Name, took, limit)
	}
}

// known is what the controller knows of a host.
func (f *fleet) known(h *booted.Host) *adminpb.HostStatus {
	f.t.Helper()
	all, err := f.hosts()
	if err != nil {
		f.t.Fatal(err)
	}
	return all[h.Name]
}

// says waits until the agent of a host says so in its status.
func (f *fleet) says(h *booted.Host, what string) {
	f.t.Helper()
	f.eventually(upTime, h.Name+" says "+what, func() string {
		out, err := f.salveOn(h, "agent", "status")
		if strings.Contains(out, what) {
			return ""
		}
		return out + text(err)
	})
}

// logs waits until the agent of a host has logged that.
func (f *fleet) logs(h *booted.Host, what string) {
	f.t.Helper()
	f.eventually(upTime, h.Name+" logs "+what, func() string {
		out, err := h.Exec(f.ctx(), "journalctl", "--no-pager", "--unit=salve-agent")
		if strings.Contains(out, what) {
			return ""
		}
		return "it does not" + text(err)
	})
}

// quarantined waits until the controller knows of two machines with the identity of a host.
func (f *fleet) quarantined(h *booted.Host, why string) {
	f.t.Helper()
	f.eventually(upTime, h.Name+" is quarantined", func() string {
		got := f.known(h)
		if strings.Contains(got.GetHost().GetQuarantined(), why) && !got.GetConnected() {
			return ""
		}
		return fmt.Sprintf("connected %t, quarantined %q", got.GetConnected(), got.GetHost().GetQuarantined())
	})
}

// startsAlone: a shop that is dead is started by its host, which needs nobody for that.
func (f *fleet) startsAlone(h *booted.Host) {
	f.t.Helper()
	f.healed(h, func() { f.crash(h) })
}

// healsByPermit: a shop that is only ill is restarted, which takes a permit.
func (f *fleet) healsByPermit(h *booted.Host) {
	f.t.Helper()
	f.healed(h, func() { f.fault(h, "errors?ratio=1") })
	f.eventually(upTime, "Salve is at rest", f.restless)
}

// healed waits until the shop, made ill once, serves again after one job.
func (f *fleet) healed(h *booted.Host, sicken func()) {
	f.t.Helper()
	since := time.Now()
	sicken()
	f.eventually(upTime, "the shop on "+h.Name+" is healed", func() string {
		if f.jobs(h, since) == 0 {
			return "nothing was done"
		}
		return f.ill(h)
	})
	if n := f.jobs(h, since); n != 1 {
		f.t.Errorf("the shop on %s was ill once, and had %d jobs", h.Name, n)
	}
}

// doesNotHeal: a shop that is only ill stays so, and its host says why. It is left ill.
func (f *fleet) doesNotHeal(h *booted.Host, why string) {
	f.t.Helper()
	f.says(h, "incidents      none")
	since := time.Now()
	f.fault(h, "errors?ratio=1")
	f.says(h, why)
	f.pass(heartbeat)
	if n := f.jobs(h, since); n != 0 {
		f.t.Errorf("nobody permitted anything on %s, and the shop had %d jobs", h.Name, n)
	}
}

// machine boots one more host, for this test, and installs an agent on it that does not run yet.
func (f *fleet) machine(name string) *booted.Host {
	f.t.Helper()
	h := f.boot(name, booted.HostOptions{Disk: 32})
	f.t.(*testing.T).Cleanup(func() { f.off(h) })
	f.name()
	f.giveClocks()
	f.must(f.tryInstall(h, release, "salve-agent", "salve"))
	f.sh(h, "systemctl stop salve-agent")
	return h
}

// off switches a machine off for good.
func (f *fleet) off(h *booted.Host) {
	f.t.Helper()
	f.must(h.PowerCut())
}

// copyOf is another machine with all that Salve has on a host, and with some of its files.
func (f *fleet) copyOf(h *booted.Host, name string, files ...string) *booted.Host {
	f.t.Helper()
	other := f.machine(name)
	f.tell("%s gets the state of %s", name, h.Name)
	f.must(h.Save(f.ctx(), name, append(files, agentState, "/etc/salve")...))
	f.must(other.Restore(f.ctx(), h, name, agentState, "/etc/salve"))
	f.sh(other, "chown -R salve: "+agentState+" && systemctl start salve-agent")
	return other
}
