package downgrade_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/pkg/remedy"
)

// debs is dpkg and apt-get.
type debs struct{}

const (
	debRepository = "/opt/debs"
	debRecords    = "/var/lib/dpkg"
)

func (debs) name() string             { return "apt-get" }
func (debs) version(v string) string  { return v }
func (debs) lockFile() string         { return debRecords + "/lock-frontend" }
func (debs) file(named string) string { return filepath.Join(debRepository, named+".deb") }

func (debs) missing() string {
	for _, program := range []string{"dpkg", "dpkg-deb", "apt-get"} {
		if _, err := exec.LookPath(program); err != nil {
			return "Debian's packages dpkg and apt"
		}
	}
	return ""
}

func (debs) folders() []string {
	return []string{debRecords, "/var/lib/apt", "/var/cache/apt", "/etc/apt"}
}

func (d debs) prepare() error {
	for _, dir := range []string{debRecords + "/info", debRecords + "/updates", debRecords + "/triggers", "/etc/apt/apt.conf.d", "/etc/apt/preferences.d",
		"/etc/apt/trusted.gpg.d", "/var/log/apt", "/var/lib/apt/lists/partial", "/var/cache/apt/archives/partial", debRepository} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	var index strings.Builder
	for _, control := range []string{
		"Package: shop\nVersion: 0.9\nDepends: glue\n", "Package: shop\nVersion: 1.0\n", "Package: shop\nVersion: 2.0\n",
		"Package: shop\nVersion: 3.0\n", "Package: common\nVersion: 1.0\n", "Package: common\nVersion: 2.0\n", "Package: glue\nVersion: 1.0\n",
		"Package: till\nVersion: 1.0\nDepends: shop (>= 2.0)\n", "Package: core\nVersion: 1.0\nEssential: yes\n",
	} {
		if err := d.build(control, &index); err != nil {
			return err
		}
	}
	return errors.Join(write(debRecords+"/status", "", debRepository+"/Packages", index.String(),
		"/etc/apt/sources.list", "deb [trusted=yes] file:"+debRepository+" ./\n"), command("apt-get", "update", "-q"))
}

// build makes a package of that name and version, whose script does what a test puts into /opt/script.
func (d debs) build(control string, index *strings.Builder) error {
	words := strings.Fields(control)
	name, version := words[1], words[3]
	control += "Architecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: of a test\n"
	dir, deb := filepath.Join("/opt/build", name+version), d.file(name+"-"+version)
	err := write(dir+"/DEBIAN/control", control, dir+"/opt/"+name, version+"\n",
		dir+"/DEBIAN/postinst", "#!/bin/sh\nset -e\nPACKAGE="+name+"\n[ ! -e /opt/script ] || . /opt/script\n")
	if err = errors.Join(err, command("dpkg-deb", "-Znone", "--build", dir, deb)); err != nil {
		return err
	}
	info, err := os.Stat(deb)
	if err != nil {
		return err
	}
	sum, err := exec.Command("sha256sum", deb).Output()
	if err != nil {
		return err
	}
	fmt.Fprintf(index, "%sFilename: ./%s\nSize: %d\nSHA256: %.64s\n\n", control, filepath.Base(deb), info.Size(), sum)
	return nil
}

func (debs) use() error { return nil }

func (d debs) install(named ...string) error {
	argv := []string{"dpkg", "--install", "--force-downgrade"}
	for _, n := range named {
		argv = append(argv, d.file(n))
	}
	return command(argv...)
}

func (debs) purge(names ...string) error {
	return command(append([]string{"dpkg", "--purge", "--force-all"}, names...)...)
}

func (debs) hold(name string) error   { return command("apt-mark", "hold", name) }
func (debs) unhold(name string) error { return command("apt-mark", "unhold", name) }

func (debs) list() ([]string, error) {
	out, err := exec.Command("dpkg-query", "--show", "--showformat=${Status} ${Package} ${Version}\n").Output()
	var got []string
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line) // "install ok installed shop 1.0"
		words = slices.DeleteFunc(words, func(w string) bool { return w == "install" || w == "ok" || w == "installed" })
		if line = strings.Join(words, " "); !strings.Contains(line, "not-installed") {
			got = append(got, line)
		}
	}
	return got, err
}

func (debs) half() (listed, said string) {
	return "half-configured shop 1.0", "shop is half-configured at 1.0, common is installed at 1.0"
}

func (debs) cannotHold(t *testing.T) {
	hide(t, "/usr/bin/apt-mark", "/bin/false")
}

// TestRefusedByApt: it says itself what more would be done, and dpkg's records say more than rpm's.
func TestRefusedByApt(t *testing.T) {
	s := newShop(t, debs{})
	good := s.good
	for versions, why := range map[string]string{
		"shop=1.5 common=1.0": "Version '1.5' for 'shop' was not found",
		"shop=0.9 common=1.0": "it would install glue 1.0",
	} {
		s.good = []release.Good{s.known(versions, -time.Hour)}
		s.Refused(s.request("1"), why, false)
	}
	s.good = good

	s.must(s.install("till-1.0"))
	s.Refused(s.request("1"), "Packages need to be removed", false)
	s.must(s.purge("till"))

	s.allow("shop", "common", "core")
	s.must(s.install("core-1.0"))
	q := s.request("1")
	q.Remedy.Args.(*remedy.PackagesArgs).Packages = []string{"core"}
	s.Refused(q, "core is a package that the system needs", false)
	s.must(s.purge("core"))
	for _, argv := range (order.Order{Manager: order.Apt, Packages: []order.Package{{Name: "sho.+", Version: "1.0"}}, Hold: true}).Commands() {
		if command(argv...) == nil {
			t.Errorf("a name is a pattern to %q", argv)
		}
	}
	s.is("2.0", before...)

	s.must(command("dpkg", "--unpack", s.file("common-2.0")))
	s.Refused(s.request("1"), "common is unpacked: a person has to repair that", false)
}

// TestKept: no repository has the versions any more, and apt-get has kept one of them when it was installed.
func TestKept(t *testing.T) {
	s := newShop(t, debs{})
	const kept = "/var/cache/apt/archives/common_1.1_all.deb"
	t.Cleanup(func() { _ = os.Remove(kept) })
	s.good = []release.Good{s.ran("1.0", "1.1", -time.Hour)}
	s.Refused(s.request("1"), "Version '1.1' for 'common' was not found", false)
	s.must(debs{}.build("Package: common\nVersion: 1.1\n", &strings.Builder{}))
	s.must(command("mv", s.file("common-1.1"), kept))
	plan, err := s.Runner.Prepare(t.Context(), s.request("1"))
	s.must(err)
	if want := "install common=1.1 from " + kept + " instead of 2.0, and hold it"; plan.Detail[1] != want {
		t.Errorf("it would %q", plan.Detail)
	}
	a := s.Must(s.request("1"))
	s.is("2.0 1.0", after[0], "hold common 1.1")
	if _, err := s.Runner.Undo(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	s.is("2.0 1.0 2.0", before...)
}
