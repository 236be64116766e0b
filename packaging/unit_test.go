package packaging_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/salveops/salve/pkg/config"
)

// units and the most that `systemd-analyze security` may say of them; README says the figures of today.
var units = map[string]float64{
	"salve-agent.service": 1.8, "salve-agent-polkit.service": 1.2, "salve-agent-helper.service": 0.8,
	"salve-controller.service": 1.2,
}

// TestExposure: no unit gets more of the host than it had.
func TestExposure(t *testing.T) {
	needs(t, "systemd-analyze", "systemd")
	readme := string(read(t, "README.md"))
	for unit, most := range units {
		level := exposure(t, filepath.Join("systemd", unit))
		t.Logf("%s: %v", unit, level)
		if level > most {
			t.Errorf("the exposure of %s is %v, more than %v", unit, level, most)
		}
		row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(unit) + "` .* \\| [0-9.]+ \\|$")
		if !row.MatchString(readme) {
			t.Errorf("README does not say the exposure of %s", unit)
		}
	}
}

// TestExposureOfFeatures: with every drop-in of the examples the agent stays below 2.5, but for the one that makes it a debugger.
func TestExposureOfFeatures(t *testing.T) {
	needs(t, "systemd-analyze", "systemd")
	dropIns, err := filepath.Glob("systemd/examples/*.conf")
	if err != nil || len(dropIns) == 0 {
		t.Fatal(dropIns, err)
	}
	least := exposure(t, "systemd/salve-agent.service")
	for without, most := range map[string]float64{"tracing.conf": 2.5, "": 2.7} {
		dir := t.TempDir()
		unit := filepath.Join(dir, "salve-agent.service")
		link(t, "systemd/salve-agent.service", unit)
		for _, d := range dropIns {
			if filepath.Base(d) != without {
				link(t, d, filepath.Join(unit+".d", filepath.Base(d)))
			}
		}
		level := exposure(t, unit)
		t.Logf("with everything without %q: %v", without, level)
		if level > most || level <= least {
			t.Errorf("the exposure with everything without %q is %v", without, level)
		}
	}
}

func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, read(t, from), 0o644); err != nil {
		t.Fatal(err)
	}
}

func exposure(t *testing.T, unit string) float64 {
	t.Helper()
	path, err := filepath.Abs(unit)
	if err != nil {
		t.Fatal(err)
	}
	out := output(t, "systemd-analyze", "security", "--offline=yes", "--no-pager", path)
	m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("systemd-analyze says\n%s", out)
	}
	level, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return level
}

// TestUnits: systemd has no word against the units, once the programs are where they say.
func TestUnits(t *testing.T) {
	needs(t, "systemd-analyze", "systemd")
	top := root(t)
	dir := t.TempDir()
	files := []string{"salve-agent-helper.socket"}
	command := []string{"systemd-analyze", "verify", "--man=no", "--recursive-errors=no"}
	for unit := range units {
		files = append(files, unit)
	}
	for _, unit := range files {
		text := strings.ReplaceAll(string(read(t, filepath.Join("systemd", unit))), "/usr/bin/salve", top+"/usr/bin/salve")
		if err := os.WriteFile(filepath.Join(dir, unit), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		command = append(command, filepath.Join(dir, unit))
	}
	if out := output(t, command...); out != "" {
		t.Errorf("systemd-analyze verify:\n%s", out)
	}
}

// TestNothingGainsPrivileges: no program of ours, and nothing that it starts, becomes more than it was, whatever lies
// on the host with a set-user-ID bit; and no example takes that back.
func TestNothingGainsPrivileges(t *testing.T) {
	const guard = "NoNewPrivileges="
	files, err := filepath.Glob("systemd/*.service")
	if err != nil || len(files) != len(units) {
		t.Fatalf("%v, %v: want the units of the table", files, err)
	}
	for _, file := range files {
		text := string(read(t, file))
		for _, line := range []string{guard + "yes", "AmbientCapabilities="} {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("%s has no line %s", file, line)
			}
		}
	}
	examples, err := filepath.Glob("systemd/examples/*.conf")
	if err != nil || len(examples) == 0 {
		t.Fatal(examples, err)
	}
	for _, file := range append(files, examples...) {
		if n := strings.Count(string(read(t, file)), "\n"+guard); n > 1 || n == 1 && !strings.HasSuffix(file, ".service") {
			t.Errorf("%s says %d times what %s is", file, n, guard)
		}
	}
}

// TestHelperIsOutOfReach: who may open the helper's socket, where its list lies, and that both are where the programs
// look for them.
func TestHelperIsOutOfReach(t *testing.T) {
	help := output(t, root(t)+"/usr/bin/salve-agent-helper", "--help")
	for file, lines := range map[string][]string{
		"salve-agent-helper.socket": {"ListenStream=/run/salve-helper/socket", "SocketUser=root", "SocketGroup=salve",
			"SocketMode=0660", "DirectoryMode=0755"},
		"salve-agent-polkit.service": {"RuntimeDirectory=salve-helper", "RuntimeDirectoryMode=0755", "RuntimeDirectoryPreserve=yes"},
		"salve-agent-helper.service": {"CapabilityBoundingSet=", "PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX",
			"ProtectSystem=strict", "NoExecPaths=/"},
	} {
		text := string(read(t, filepath.Join("systemd", file)))
		for _, line := range lines {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("%s has no line %s", file, line)
			}
		}
	}
	if !strings.Contains(help, `"/run/salve-helper/allow"`) {
		t.Errorf("the helper does not look for the list that is made for it:\n%s", help)
	}
}

var execLine = regexp.MustCompile(`(?m)^Exec(?:Start|Reload)=\+?(/usr/bin/(salve\S*))(.*)$`)

// TestCommandLines: what the units run is what the programs understand.
func TestCommandLines(t *testing.T) {
	top := root(t)
	seen := 0
	for unit := range units {
		text := strings.ReplaceAll(string(read(t, filepath.Join("systemd", unit))), "\\\n", "")
		for _, m := range execLine.FindAllStringSubmatch(text, -1) {
			seen++
			args := strings.Fields(m[3])
			// With a wrong flag the version is not printed.
			output(t, append([]string{top + m[1], "--version"}, args...)...)
			if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
				help := output(t, top+m[1], "--help")
				if !strings.Contains(help, m[2]+" "+args[0]) {
					t.Errorf("%s: %s knows no %q:\n%s", unit, m[2], args[0], help)
				}
			}
		}
	}
	if seen != 6 {
		t.Errorf("saw %d lines", seen)
	}
}

// TestFreshInstall: the configuration that comes with the package lets the agent do nothing, and has no fault.
func TestFreshInstall(t *testing.T) {
	cfg, diags := config.LoadAgent("etc/agent.hcl", config.LoadOptions{Host: "web-1"})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if cfg.Autonomy != config.Observe || len(cfg.Allow) > 0 || len(cfg.Services) > 0 {
		t.Errorf("it has autonomy %s, %d allow blocks, %d services", cfg.Autonomy, len(cfg.Allow), len(cfg.Services))
	}
	// What it proposes in comments works, too.
	lines := strings.Split(string(read(t, "etc/agent.hcl")), "\n")
	code := regexp.MustCompile(`^# ((allow|notifier) .*\{|  \w+ +=.*|\})$`)
	for i, l := range lines {
		if code.MatchString(l) {
			lines[i] = l[2:]
		}
	}
	file := filepath.Join(t.TempDir(), "agent.hcl")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, diags = config.LoadAgent(file, config.LoadOptions{Host: "web-1"})
	if diags.HasErrors() || len(cfg.Allow) != 1 || len(cfg.Services) != 1 {
		t.Errorf("uncommented: %v", diags)
	}
}

// TestUsers: the users and folders come into being as README says.
func TestUsers(t *testing.T) {
	needs(t, "systemd-sysusers", "systemd")
	top := t.TempDir()
	for _, name := range []string{"salve-agent", "salve-controller"} {
		link(t, "sysusers/"+name+".conf", filepath.Join(top, "usr/lib/sysusers.d", name+".conf"))
		link(t, "tmpfiles/"+name+".conf", filepath.Join(top, "usr/lib/tmpfiles.d", name+".conf"))
	}
	if err := os.Mkdir(filepath.Join(top, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	output(t, "systemd-sysusers", "--root="+top)
	users := string(read(t, filepath.Join(top, "etc/passwd")))
	for _, want := range []string{
		`salve:x:\d+:\d+:Salve agent:/var/lib/salve/agent:/usr/sbin/nologin`,
		`salve-controller:x:\d+:\d+:Salve controller:/var/lib/salve/controller:/usr/sbin/nologin`,
	} {
		if !regexp.MustCompile("(?m)^" + want + "$").MatchString(users) {
			t.Errorf("no %s in\n%s", want, users)
		}
	}
	if os.Geteuid() != 0 {
		t.Log("not root: the folders' owners are not looked at")
		return
	}
	if out := output(t, "systemd-tmpfiles", "--root="+top, "--create"); out != "" {
		t.Error(out)
	}
	for path, mode := range map[string]os.FileMode{
		"etc/salve": 0o755, "run/salve": 0o750, "var/lib/salve": 0o755, "var/lib/salve/agent": 0o700,
		"var/lib/salve/controller": 0o700,
	} {
		info, err := os.Stat(filepath.Join(top, path))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}
