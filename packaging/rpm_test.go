package packaging_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
)

// rpmRoot is a root file system of its own for rpm, with as much in it as its scriptlets need. What they call only
// writes down how it was called.
type rpmRoot struct{ *sandbox }

func newRPMRoot(t *testing.T) *rpmRoot {
	t.Helper()
	needs(t, "unshare", "util-linux")
	r := &rpmRoot{&sandbox{t: t, root: t.TempDir()}}
	for _, program := range []string{"sh", "cat", "rm", "sed", "grep"} {
		r.bring(program)
	}
	for _, program := range []string{"systemd-sysusers", "systemd-tmpfiles", "systemctl"} {
		r.put("/usr/bin/"+program, stub(program, ""), 0o755)
	}
	r.put("/run/systemd/system/.here", "", 0o644)
	r.put("/dev/null", "", 0o666) // a file does
	return r
}

// bring copies a program of this machine, with the libraries that it wants.
func (r *rpmRoot) bring(program string) {
	r.t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		r.t.Fatal(err)
	}
	r.put("/bin/"+program, string(read(r.t, path)), 0o755)
	for _, field := range strings.Fields(output(r.t, "ldd", path)) {
		if filepath.IsAbs(field) && !r.there(field) {
			r.put(field, string(read(r.t, field)), 0o755)
		}
	}
}

// rpm runs rpm on the root, and returns what its scriptlets called and what it said. Without being root it takes the
// part of one in a namespace of its own.
func (r *rpmRoot) rpm(args ...string) (calls, said string, err error) {
	r.t.Helper()
	_ = os.Remove(filepath.Join(r.root, "calls"))
	command := append([]string{"rpm", "--root", r.root, "--dbpath", "/var/lib/rpm", "--force-debian"}, args...)
	if os.Geteuid() != 0 {
		command = append([]string{"unshare", "--map-root-user"}, command...)
	}
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	made, _ := os.ReadFile(filepath.Join(r.root, "calls"))
	return string(made), string(out), err
}

// must is rpm where it has to go well, and to call these lines, or not.
func (r *rpmRoot) must(args []string, lines ...string) {
	r.t.Helper()
	calls, said, err := r.rpm(args...)
	if err != nil || said != "" {
		r.t.Fatalf("rpm %v: %v\n%s", args, err, said)
	}
	called(r.t, fmt.Sprint("rpm ", args), calls, lines)
}

// TestLifeOfRPM: rpm itself installs, upgrades, goes back, refuses to go back, and erases.
func TestLifeOfRPM(t *testing.T) {
	_, err := exec.Command("unshare", "--map-root-user", "true").Output()
	agenttest.Require(t, "root, or namespaces of users", os.Geteuid() == 0 || err == nil, "")
	older, dir := rpm(t, "salve-agent"), t.TempDir()
	if err := pack(t, dir, "--packages", "salve-agent", "--formats", "rpm", "--version", "v1.3.0"); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "salve-agent-1.3.0-1.x86_64.rpm")
	r := newRPMRoot(t)
	r.put("/failing", "systemctl --quiet is-failed salve-agent.service\n", 0o644)
	const began, again, ended = "systemctl start salve-agent.service", "systemctl try-restart salve-agent.service",
		"systemctl stop salve-agent.service"

	r.must([]string{"--install", "--nodeps", older}, "systemd-sysusers salve-agent.conf", "systemctl enable salve-agent.service",
		began, "not "+again)
	r.must([]string{"--verify", "--nodeps", "salve-agent"})

	r.put("/etc/salve/agent.hcl", "# mine\n", 0o644)
	r.put("/var/lib/salve/agent/journal.db", "", 0o600)
	r.put(rules, "", 0o644)
	r.must([]string{"--upgrade", "--nodeps", newer}, again, "systemctl try-restart salve-agent-helper.socket", "not "+began, "not "+ended,
		"not systemctl --no-reload disable salve-agent.service")
	r.holds("1.3.0")
	r.must([]string{"--upgrade", "--nodeps", "--oldpackage", older}, again)
	r.must([]string{"--upgrade", "--nodeps", newer}, again)

	r.put("/usr/share/salve/salve-agent.format", "1000\n", 0o644)
	calls, said, err := r.rpm("--upgrade", "--nodeps", "--oldpackage", older)
	if err == nil || calls != "" || !strings.Contains(said, "has format 1000") || !strings.Contains(said, "Nothing was changed") {
		t.Errorf("an older release that cannot read the state: %v, %s%s", err, said, calls)
	}
	r.holds("1.3.0")

	calls, said, err = r.rpm("--erase", "--nodeps", "salve-agent")
	if err != nil || !strings.Contains(said, "/etc/salve/agent.hcl.rpmsave") {
		t.Errorf("rpm --erase: %v, %s", err, said)
	}
	called(t, "rpm --erase", calls, []string{ended, "systemctl --no-reload disable salve-agent.service",
		"systemctl stop salve-agent-helper.socket", "systemctl --no-reload disable salve-agent-helper.socket",
		"systemctl --system daemon-reload"})
	for path, want := range map[string]bool{
		"/usr/bin/salve-agent": false, rules: false, "/etc/salve/agent.hcl.rpmsave": true, "/var/lib/salve/agent/journal.db": true,
	} {
		if r.there(path) != want {
			t.Errorf("after the removal %s is there: %t", path, !want)
		}
	}
}

// holds: that version is installed, with what a person had changed.
func (r *rpmRoot) holds(version string) {
	r.t.Helper()
	_, got, err := r.rpm("--query", "--queryformat", "%{VERSION}", "salve-agent")
	if err != nil || got != version {
		r.t.Errorf("installed is %s, %v, want %s", got, err, version)
	}
	if got := string(read(r.t, filepath.Join(r.root, "/etc/salve/agent.hcl"))); got != "# mine\n" {
		r.t.Errorf("the configuration is %q", got)
	}
	if !r.there(rules) || !r.there("/var/lib/salve/agent/journal.db") {
		r.t.Error("polkit's rules or the journal are gone")
	}
}
