package downgrade_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/packages"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/pkg/remedy"
)

// rpms is rpm and dnf.
type rpms struct{}

const (
	rpmRepository = "/opt/rpms"
	rpmRecords    = "/var/lib/rpm"
	dnfSettings   = "/etc/dnf/dnf.conf"
	dnfRepository = "/etc/yum.repos.d/shop.repo"
	versionLocks  = "/etc/dnf/plugins/versionlock.list"
	lockSettings  = "/etc/dnf/plugins/versionlock.conf"
	localSettings = "/etc/dnf/plugins/local.conf"

	shopRepository = "[shop]\nname=shop\nbaseurl=file://" + rpmRepository + "\n"
)

func (rpms) name() string             { return "dnf-3" }
func (rpms) version(v string) string  { return v + "-1" }
func (rpms) lockFile() string         { return rpmRecords + "/.rpm.lock" }
func (rpms) file(named string) string { return filepath.Join(rpmRepository, named+"-1.noarch.rpm") }

func (rpms) missing() string {
	_, err := os.Stat("/usr/lib/python3/dist-packages/dnf-plugins/versionlock.py")
	for _, program := range []string{"rpm", "rpmbuild", "dnf-3", "createrepo_c"} {
		_, missing := exec.LookPath(program)
		err = errors.Join(err, missing)
	}
	if err != nil {
		return "Debian's packages rpm, dnf, dnf-plugins-core and createrepo-c"
	}
	return ""
}

func (rpms) folders() []string {
	return []string{rpmRecords, "/var/lib/dnf", "/var/cache/dnf", "/etc/yum.repos.d", "/etc/rpm", "/etc/dnf"}
}

func (r rpms) prepare() error {
	err := errors.Join(os.MkdirAll(rpmRepository, 0o755), write("/etc/rpm/macros", "%_dbpath "+rpmRecords+"\n",
		dnfSettings, "[main]\ninstallonlypkgs=shop\n", localSettings, "[main]\nenabled = 0\n",
		lockSettings, "[main]\nenabled = 1\nlocklist = "+versionLocks+"\n", versionLocks, "",
		dnfRepository, shopRepository))
	if err != nil {
		return err
	}
	for named, tags := range map[string]string{
		"sh-1.0": "Provides: /bin/sh", "glue-1.0": "", "core-1.0": "", "till-1.0": "Requires: shop >= 2.0",
		"shop-0.7": "Conflicts: sh", "shop-0.8": "Obsoletes: glue < 2, paste", "shop-0.9": "Requires: glue",
		"shop-1.0": "", "shop-2.0": "", "shop-3.0": "", "common-1.0": "", "common-2.0": "",
	} {
		if err := r.build(named, tags); err != nil {
			return err
		}
	}
	return errors.Join(command("createrepo_c", "--quiet", "--no-database", rpmRepository), command("rpm", "--install", r.file("sh-1.0")),
		command("dnf-3", "--quiet", "makecache"))
}

// build makes a package of that name and version, whose script does what a test puts into /opt/script.
func (r rpms) build(named, tags string) error {
	name, version, _ := strings.Cut(named, "-")
	spec := fmt.Sprintf(`
Name: %[1]s
Version: %[2]s
Release: 1
Summary: of a test
License: none
BuildArch: noarch
AutoReqProv: no
%[3]s
%%description
of a test
%%install
mkdir -p %%{buildroot}/opt
echo %[2]s > %%{buildroot}/opt/%[1]s
%%pre
set -e
PACKAGE=%[1]s
[ ! -e /opt/script ] || . /opt/script
%%files
/opt/%[1]s
`, name, version, tags)
	file := "/opt/build/" + named + ".spec"
	return errors.Join(write(file, spec), command("rpmbuild", "-bb", "--quiet", "--define", "_rpmdir "+rpmRepository, "--define",
		"_topdir /opt/build/"+named, "--define", "_rpmfilename %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm", file))
}

// use hides that dpkg has installed anything.
func (rpms) use() error {
	if (debs{}).missing() != "" {
		return nil
	}
	return os.Truncate(debRecords+"/status", 0)
}

func (r rpms) install(named ...string) error {
	argv := []string{"rpm", "--upgrade", "--oldpackage", "--replacepkgs"}
	for _, n := range named {
		argv = append(argv, r.file(n))
	}
	return command(argv...)
}

func (r rpms) purge(names ...string) error {
	for _, name := range names {
		if command("rpm", "--query", name) == nil {
			if err := command("rpm", "--erase", "--nodeps", "--allmatches", "--noscripts", name); err != nil {
				return err
			}
		}
	}
	if text, err := os.ReadFile(versionLocks); err != nil || len(text) == 0 {
		return err
	}
	return os.WriteFile(versionLocks, nil, 0o644)
}

// hold is as dnf does it, which takes its time for that.
func (rpms) hold(name string) error {
	return os.WriteFile(versionLocks, []byte("\n# Added lock on a day\n"+name+"-0:2.0-1.*\n"), 0o644)
}

func (rpms) unhold(name string) error {
	text, err := os.ReadFile(versionLocks)
	lines := slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(line string) bool { return strings.HasPrefix(line, name+"-0:") })
	return errors.Join(err, os.WriteFile(versionLocks, []byte(strings.Join(lines, "")), 0o644))
}

func (rpms) list() ([]string, error) {
	held, err := os.ReadFile(versionLocks)
	if err != nil {
		return nil, err
	}
	out, err := exec.Command("rpm", "--query", "--all", "--queryformat", "%{NAME} %{VERSION} %{NAME}-%{EPOCHNUM}:%{VERSION}-%{RELEASE}.*\n").Output()
	var got []string
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		line = words[0] + " " + words[1]
		if strings.Contains(string(held), words[2]+"\n") {
			line = "hold " + line
		}
		if line != "sh 1.0" {
			got = append(got, line)
		}
	}
	return got, err
}

func (rpms) half() (listed, said string) {
	return "shop 2.0", "shop is installed at 2.0-1, common is installed at 1.0-1"
}

// cannotHold lets dnf's plugin have nowhere to write.
func (rpms) cannotHold(t *testing.T) {
	hide(t, versionLocks, versionLocks)
	if err := unix.Mount("", versionLocks, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

// hide puts another file in the place of one.
func hide(t *testing.T, path, other string) {
	t.Helper()
	if err := unix.Mount(other, path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, 0) })
}

// settings puts other text into a file of dnf's for the rest of a test.
func (s *shop) settings(file, text string) {
	s.T.Helper()
	was, err := os.ReadFile(file)
	s.must(err)
	s.T.Cleanup(func() { s.must(os.WriteFile(file, was, 0o644)) })
	s.must(os.WriteFile(file, []byte(text), 0o644))
}

// TestRefusedByDnf: what is known beforehand, from what dnf has fetched.
func TestRefusedByDnf(t *testing.T) {
	s := newShop(t, rpms{})
	refused := func(why string) {
		t.Helper()
		s.Refused(s.request("1"), why, false)
	}
	good := s.good
	s.good = []release.Good{s.ran("1.5", "1.0", -time.Hour)}
	refused("no repository has shop=1.5-1, by the lists that dnf has fetched last")
	s.must(s.install("glue-1.0"))
	s.good = []release.Good{s.ran("0.8", "1.0", -time.Hour)}
	s.settings(dnfSettings, "[main]\nexcludepkgs=glue\n") // from dnf, which hides it from rpm no more
	refused("it makes glue obsolete, which rpm would remove")
	s.good = good

	for _, c := range [][2]string{
		{"[main]\nenabled = 0\n", "dnf's plugin versionlock is not installed, or not enabled"},
		{"[main]\nlocklist=/opt/none\n", "/opt/none is missing"},
		{"[main]\nlocklist=versionlock.list\n", "no absolute path as locklist"},
		{"[main]\nlocklist = " + versionLocks + "\n", ""},
	} {
		if s.settings(lockSettings, c[0]); c[1] != "" {
			refused(c[1])
		}
	}
	for _, line := range []string{"shop-0:1.5-*", "!common", "sh*"} {
		s.must(os.WriteFile(versionLocks, []byte("# by hand\n"+line+"\n"), 0o644))
		refused(" is held, and is at 2.0-1: somebody wants it so")
	}
	s.must(os.WriteFile(versionLocks, nil, 0o644))

	s.allow("shop", "common", "core")
	s.must(s.install("core-1.0"))
	s.must(os.MkdirAll("/etc/dnf/protected.d", 0o755))
	s.must(os.WriteFile("/etc/dnf/protected.d/core.conf", []byte("core\n"), 0o644))
	q := s.request("1")
	q.Remedy.Args.(*remedy.PackagesArgs).Packages = []string{"core"}
	s.Refused(q, "core is a package that the system needs", false)
	s.must(s.purge("core"))

	s.must(command("rpm", "--install", "--force", "--nodeps", s.file("common-1.0")))
	refused("common is installed twice")
	s.must(s.purge("common"))
	s.must(s.install("common-2.0"))

	// Fedora lets the link lead to dnf5.
	s.must(errors.Join(os.MkdirAll("/opt/over/work", 0o755), os.MkdirAll("/opt/over/upper", 0o755),
		unix.Mount("overlay", "/usr/bin", "overlay", 0, "lowerdir=/usr/bin,upperdir=/opt/over/upper,workdir=/opt/over/work")))
	t.Cleanup(func() { _ = unix.Unmount("/usr/bin", 0) })
	s.must(errors.Join(os.Remove("/usr/bin/dnf"), os.Symlink("dnf5", "/usr/bin/dnf"), os.WriteFile("/usr/bin/dnf5", nil, 0o755)))
	refused("/usr/bin/dnf is not /usr/bin/dnf-3, and no other dnf than version 4 is known here")
	s.is("2.0", append(before, "glue 1.0")...)
}

// TestObsoleteByDnf: what is put back makes a package obsolete that somebody has installed meanwhile.
func TestObsoleteByDnf(t *testing.T) {
	s := newShop(t, rpms{})
	s.must(s.install("shop-0.8"))
	// The repository has other lists by now, which are not those that were looked at; and a hold needs none.
	s.settings(dnfRepository, shopRepository+"metadata_expire=0\n")
	const lists, away = rpmRepository + "/repodata", rpmRepository + "/away"
	s.must(os.Rename(lists, away))
	s.script("rm -rf /var/cache/dnf/*")
	a := s.Must(s.request("1"))
	s.must(errors.Join(os.Remove("/opt/script"), os.Rename(away, lists), command("dnf-3", "--quiet", "makecache")))
	s.must(s.install("glue-1.0"))
	_, err := s.Runner.Undo(t.Context(), a.ID)
	var refusal *kind.Refusal
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "it makes glue obsolete") {
		t.Errorf("undo: %v", err)
	}
	s.settings(dnfRepository, shopRepository+"excludepkgs=shop\n") // so that it cannot be seen
	if err := s.kind().Undo(t.Context(), &a); errors.As(err, &refusal) || err == nil || !strings.Contains(err.Error(), "no repository has shop=0.8-1") {
		t.Errorf("undo to what no list has: %v", err)
	}
	s.is("2.0 1.0", append(after, "glue 1.0")...)

	s.must(command("rpm", "--install", "--force", "--nodeps", s.file("common-2.0"))) // as when the script of one that goes fails
	if err := s.kind().Undo(t.Context(), &a); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "common is installed twice") ||
		strings.Contains(refusal.Reason, "somebody") {
		t.Errorf("undo of what is there twice: %v", err)
	}
	s.torn(func() {
		if err := s.kind().Undo(t.Context(), &a); errors.As(err, &refusal) || !errors.Is(err, packages.ErrUnread) {
			t.Errorf("undo while rpm cannot read its records: %v", err)
		}
	})
}

// torn lets rpm's records be none that it can read while f runs.
func (s *shop) torn(f func()) {
	s.T.Helper()
	const records, kept = rpmRecords + "/rpmdb.sqlite", rpmRecords + "/kept"
	s.must(errors.Join(os.Rename(records, kept), os.WriteFile(records, []byte("torn"), 0o644)))
	f()
	s.must(os.Rename(kept, records))
}

// TestNothingElseByDnf: whatever the host's own settings say, what would take another package is refused whole when it is tried.
func TestNothingElseByDnf(t *testing.T) {
	s := newShop(t, rpms{})
	t.Cleanup(func() { s.must(command("dnf-3", "--quiet", "makecache")) }) // what is wrongly signed is dropped
	nothing := func(shop string) {
		t.Helper()
		s.good = []release.Good{s.ran(shop, "1.0", -time.Hour)}
		a, err := s.Run(s.request(shop + t.Name()))
		s.must(err)
		if !strings.Contains(a.Error, "nothing was changed") || a.Undo != nil {
			t.Errorf("%s is %s: %s", shop, a.Phase, a.Error)
		}
		s.is("2.0", before...)
	}
	s.settings(dnfSettings, "[main]\nstrict=0\ndisable_excludes=all\n")
	nothing("0.7") // conflicts with one that is installed
	s.settings(dnfRepository, shopRepository+"includepkgs=shop glue common\n")
	s.settings(localSettings, "[main]\nenabled = 1\nrepodir = "+rpmRepository+"\n[createrepo]\nenabled = 0\n")
	nothing("0.9") // needs one that is not
	s.must(os.WriteFile(localSettings, nil, 0o644))

	s.good = []release.Good{s.ran("1.0", "1.0", -time.Hour)}
	step, _ := s.stage()
	const busy = "/var/cache/dnf/metadata_lock.pid" // of another dnf
	s.must(os.WriteFile(busy, []byte(strconv.Itoa(os.Getpid())), 0o644))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.torn(func() {
		if err := s.kind().Act(ctx, step); !errors.Is(err, packages.ErrUnread) || strings.Contains(err.Error(), "half done") {
			t.Errorf("while rpm cannot read its records: %v", err)
		}
	})
	if err := s.kind().Act(ctx, step); err == nil || !strings.Contains(err.Error(), "nothing was changed") || step.Undo != nil {
		t.Errorf("while another dnf is at work: %v", err)
	}
	s.must(os.Remove(busy))

	s.must(write("/opt/key.asc", key, rpmRepository+"/repodata/repomd.xml.asc", "signed with it"))
	s.settings(dnfRepository, shopRepository+"metadata_expire=0\nrepo_gpgcheck=1\ngpgkey=file:///opt/key.asc\n")
	nothing("1.0") // nobody has said that this key is right
	if taken, _ := filepath.Glob("/var/cache/dnf/*/pubring"); len(taken) > 0 {
		t.Errorf("it has taken in a key: %q", taken)
	}
}

const key = `-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawqkOhYJKwYBBAHaRw8BAQdArkow1J01s6gV+1FzNsHe49jICO2uyHdtNB60
f7dP8Ba0BHRlc3SIkAQTFggAOBYhBDxOqhkDrDxfURml45u0jzcgZonxBQJrCqQ6
AhsDBQsJCAcCBhUKCQgLAgQWAgMBAh4BAheAAAoJEJu0jzcgZonx0SABAI0xOBhA
SAxXiOl2fcydLMoQtHfIcTDqqqXK7xa6Zp0HAQD6UD2JSxmHnZESGEH3XIuO83dL
litG8OpkVz2bm+hwDQ==
=OwhS
-----END PGP PUBLIC KEY BLOCK-----
`
