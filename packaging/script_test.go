package packaging_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sandbox is a folder that stands for the host's root while a maintainer script runs.
type sandbox struct {
	t       *testing.T
	root    string
	scripts string // folder of the unpacked control files
}

// stub is a program that only writes down how it was called, and says or fails what it is told to by files in dir.
func stub(program, dir string) string {
	return fmt.Sprintf("#!/bin/sh\necho %[1]s \"$@\" >>%[2]s/calls\nsed -n \"s/^%[1]s $*: //p\" %[2]s/saying 2>/dev/null\n"+
		"! grep -qxF -- \"%[1]s $*\" %[2]s/failing 2>/dev/null\n", program, dir)
}

// newSandbox has a stub of each program that the scripts call.
func newSandbox(t *testing.T, name string) *sandbox {
	s := &sandbox{t: t, root: t.TempDir(), scripts: t.TempDir()}
	output(t, "dpkg-deb", "-e", deb(t, name), s.scripts)
	for _, program := range []string{
		"systemd-sysusers", "systemd-tmpfiles", "systemctl", "deb-systemd-helper", "deb-systemd-invoke",
	} {
		s.put("/stubs/"+program, stub(program, s.root), 0o755)
	}
	s.put("/run/systemd/system/.here", "", 0o644)
	return s
}

func (s *sandbox) put(path, text string, mode os.FileMode) {
	s.t.Helper()
	file := filepath.Join(s.root, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sandbox) there(path string) bool {
	_, err := os.Lstat(filepath.Join(s.root, path))
	return err == nil
}

// run runs a script as dpkg does, in the sandbox, and returns what it called and said.
func (s *sandbox) run(script string, args ...string) (calls, said string, err error) {
	s.t.Helper()
	text := string(read(s.t, filepath.Join(s.scripts, script)))
	for _, top := range []string{"/usr/share/salve", "/var/lib/salve", "/run/", "/etc/"} {
		text = strings.ReplaceAll(text, " "+top, " "+s.root+top)
	}
	for _, top := range []string{" /usr/share", " /var", " /run", " /etc", "\"/"} {
		if strings.Contains(text, top) {
			s.t.Fatalf("%s would leave the sandbox for %s", script, top) // and might delete something there
		}
	}
	s.put("/script", text, 0o755)
	_ = os.Remove(filepath.Join(s.root, "calls"))
	cmd := exec.Command("/bin/sh", append([]string{filepath.Join(s.root, "script")}, args...)...)
	cmd.Env = []string{"PATH=" + filepath.Join(s.root, "stubs") + ":/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	made, _ := os.ReadFile(filepath.Join(s.root, "calls"))
	return string(made), string(out), err
}

// want runs a script that must go well, and holds what it called against lines that must be among that.
func (s *sandbox) want(script, args string, lines ...string) {
	s.t.Helper()
	calls, said, err := s.run(script, strings.Fields(args)...)
	if err != nil {
		s.t.Errorf("%s %s: %v\n%s", script, args, err, said)
	}
	called(s.t, script+" "+args, calls, lines)
}

// called holds what was called against lines that must be among that, or with "not" before must not.
func called(t *testing.T, by, calls string, lines []string) {
	t.Helper()
	for _, l := range lines {
		l, never := strings.CutPrefix(l, "not ")
		if strings.Contains("\n"+calls, "\n"+l+"\n") == never {
			t.Errorf("%s called\n%swant %v %q", by, calls, !never, l)
		}
	}
}

const (
	start   = "deb-systemd-invoke start salve-agent.service"
	restart = "deb-systemd-invoke try-restart salve-agent.service"
	stop    = "deb-systemd-invoke stop salve-agent.service"
	rules   = "/etc/polkit-1/rules.d/40-salve-agent.rules"
	list    = "/run/salve-helper/allow"
)

// TestScriptsOfAgent: its life, from the first installation to the purge, each step twice.
func TestScriptsOfAgent(t *testing.T) {
	s := newSandbox(t, "salve-agent")
	s.put("/failing", "systemctl --quiet is-failed salve-agent.service\n", 0o644)
	s.put("/var/lib/salve/agent/journal.db", "", 0o600)
	s.put(rules, "", 0o644)
	s.put(list, "", 0o644)
	s.put("/saying", "systemctl is-enabled salve-agent.service: enabled\n", 0o644)
	for range 2 {
		s.want("preinst", "install")
		s.want("postinst", "configure", "systemd-sysusers salve-agent.conf", "systemctl --system daemon-reload", start,
			"deb-systemd-helper enable salve-agent.service", "not "+restart,
			"deb-systemd-helper update-state salve-agent-helper.socket", // a person may enable it
			"not deb-systemd-helper enable salve-agent-helper.socket", "not deb-systemd-invoke start salve-agent-helper.socket")
	}
	for range 2 {
		s.want("prerm", "upgrade 1.3.0", "not "+stop)
		s.want("preinst", "upgrade 1.1.0")
		s.want("postrm", "upgrade 1.3.0")
		s.want("postinst", "configure 1.1.0", restart, "not "+start,
			"deb-systemd-invoke try-restart salve-agent-helper.socket", "deb-systemd-invoke try-restart salve-agent-helper.service")
	}
	if !s.there(rules) || !s.there(list) {
		t.Error("an upgrade took polkit's rules or the helper's list away")
	}
	s.put("/failing", "", 0o644)
	s.want("postinst", "configure 1.1.0", "deb-systemd-invoke restart salve-agent.service") // it had failed
	s.put("/failing", "deb-systemd-invoke restart salve-agent.service\n", 0o644)
	if _, said, err := s.run("postinst", "configure", "1.1.0"); err != nil || !strings.Contains(said, "journalctl -u") {
		t.Errorf("an agent that does not start: %v, %q", err, said)
	}
	s.put("/failing", "systemctl --quiet is-failed salve-agent.service\n", 0o644)
	for range 2 {
		s.want("prerm", "remove", stop, "deb-systemd-invoke stop salve-agent-helper.socket",
			"deb-systemd-invoke stop salve-agent-helper.service")
		s.want("postrm", "remove", "systemctl --system daemon-reload")
	}
	if s.there(rules) || s.there(list) || !s.there("/var/lib/salve/agent/journal.db") {
		t.Error("a removal takes polkit's rules away and leaves the state")
	}
	s.put("/saying", "systemctl is-enabled salve-agent.service: enabled\n"+
		"systemctl is-enabled salve-agent-helper.socket: enabled\nsystemctl is-enabled salve-agent-helper.service: static\n", 0o644)
	s.want("postinst", "configure 1.2.0", start, "not "+restart, // it is back, with what a person had enabled
		"deb-systemd-invoke start salve-agent-helper.socket", "not deb-systemd-invoke start salve-agent-helper.service")
	s.want("postinst", "configure 1.2.0", restart, "not "+start)
	s.put("/run/salve-helper/socket", "", 0o644)
	s.want("prerm", "remove", stop)
	s.want("postrm", "remove")
	for range 2 {
		s.want("postrm", "purge", "deb-systemd-helper purge salve-agent.service",
			"deb-systemd-helper purge salve-agent-helper.socket")
	}
	if s.there("/var/lib/salve") || s.there("/etc/salve") || s.there("/run/salve-helper") {
		t.Error("a purge leaves nothing")
	}
}

// TestScriptsOfController: it never starts by itself, and its purge leaves the agent's state alone.
func TestScriptsOfController(t *testing.T) {
	s := newSandbox(t, "salve-controller")
	s.put("/var/lib/salve/agent/journal.db", "", 0o600)
	s.put("/var/lib/salve/controller/raft.db", "", 0o600)
	s.put("/etc/salve/agent.hcl", "", 0o644)
	s.want("postinst", "configure", "systemd-sysusers salve-controller.conf",
		"deb-systemd-helper update-state salve-controller.service",
		"not deb-systemd-invoke start salve-controller.service", "not deb-systemd-helper enable salve-controller.service")
	s.want("prerm", "remove", "deb-systemd-invoke stop salve-controller.service")
	s.want("postrm", "remove")
	s.put("/saying", "systemctl is-enabled salve-controller.service: enabled\n", 0o644)
	s.want("postinst", "configure 1.2.0", "deb-systemd-invoke start salve-controller.service") // a person had enabled it
	s.want("prerm", "remove")
	s.want("postrm", "remove")
	s.want("postrm", "purge")
	if s.there("/var/lib/salve/controller") || !s.there("/var/lib/salve/agent/journal.db") ||
		!s.there("/etc/salve/agent.hcl") {
		t.Error("a purge of the controller deletes the controller's own, and no more")
	}
}

// TestWithoutSystemd: in a chroot or a container nothing is started, and nothing fails.
func TestWithoutSystemd(t *testing.T) {
	s := newSandbox(t, "salve-agent")
	if err := os.RemoveAll(filepath.Join(s.root, "run")); err != nil {
		t.Fatal(err)
	}
	s.want("postinst", "configure", "not "+start, "not systemctl --system daemon-reload")
	s.want("postinst", "configure 1.1.0", "not "+restart)
	s.want("prerm", "remove", "not "+stop)
	s.want("postrm", "remove")
}

// TestDowngrade: a release that cannot read the state is refused, and one that can is not.
func TestDowngrade(t *testing.T) {
	for _, c := range []struct {
		installed string // format of what is installed, "": none is
		state     bool
		refused   bool
	}{{"", true, false}, {"1", true, false}, {"2", true, true}, {"2", false, false}} {
		s := newSandbox(t, "salve-agent")
		if c.installed != "" {
			s.put("/usr/share/salve/salve-agent.format", c.installed+"\n", 0o644)
		}
		if c.state {
			s.put("/var/lib/salve/agent/journal.db", "", 0o600)
		}
		calls, said, err := s.run("preinst", "upgrade", "9.9.9")
		if (err != nil) != c.refused || c.refused != strings.Contains(said, "Nothing was changed") || calls != "" {
			t.Errorf("%+v: %v, %s%s", c, err, said, calls)
		}
		s.want("postinst", "abort-upgrade 9.9.9", "not "+restart, "not "+start) // as dpkg then does with the newer one
	}
}

// TestScriptsOfRPM: they are those of dpkg in rpm's words; a shell can read them.
func TestScriptsOfRPM(t *testing.T) {
	for _, name := range names {
		for _, tag := range []string{"PREIN", "POSTIN", "PREUN", "POSTUN"} {
			text := output(t, "rpm", "-qp", "--qf", "%{"+tag+"}", rpm(t, name))
			if name == "salve" {
				if text != "(none)" {
					t.Errorf("%s of the command line: %s", tag, text)
				}
				continue
			}
			cmd := exec.Command("/bin/sh", "-n")
			cmd.Stdin = strings.NewReader(text)
			if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(text, "@") || text == "(none)" {
				t.Errorf("%s of %s: %v %s\n%s", tag, name, err, out, text)
			}
		}
	}
}
