package order

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/remedy"
)

// Managers of packages, by the program that installs. An order says which is meant.
const (
	Apt = "apt-get"
	Dnf = "dnf-3" // what dnf 4 is called everywhere, whatever "dnf" is
)

// Package is a version of a package.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Arch is the architecture of it. Dnf's always have one. Those of Apt have one if they come from the file that apt-get keeps
	// for that architecture in its own folder of archives; "": a repository has it.
	Arch string `json:"arch,omitempty"`
}

// String is the package as people write it, and apt-get reads it that asks a repository.
func (p Package) String() string { return p.Name + "=" + p.Version }

// archives is where apt-get keeps what it has downloaded. Only root can put something there.
const archives = "/var/cache/apt/archives/"

// File is where apt-get keeps the version for that architecture, if it does.
func (p Package) File(arch string) string {
	return archives + p.Name + "_" + strings.ReplaceAll(p.Version, ":", "%3a") + "_" + arch + ".deb"
}

// forApt is the package as apt-get reads it.
func (p Package) forApt() string {
	if p.Arch != "" {
		return p.File(p.Arch)
	}
	return p.String()
}

// full is the name and the version as dnf writes them: without an epoch it would take any.
func (p Package) full() string {
	if strings.Contains(p.Version, ":") {
		return p.Name + "-" + p.Version
	}
	return p.Name + "-0:" + p.Version
}

// ForDnf is just this package as dnf reads it.
func (p Package) ForDnf() string { return p.full() + "." + p.Arch }

var architecture = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,30}$`)

func versions(o Order) string {
	switch {
	case o.Unit != "" || none(o) != "":
		return "it takes nothing but packages"
	case o.Manager != Apt && o.Manager != Dnf:
		return fmt.Sprintf("%.40q is no manager of packages", o.Manager)
	case len(o.Packages) == 0:
		return "it names no package"
	case len(o.Packages) > remedy.MostPackages:
		return fmt.Sprintf("it names %d packages; at most %d", len(o.Packages), remedy.MostPackages)
	}
	seen := map[string]bool{}
	for _, p := range o.Packages {
		if wrong := remedy.CheckPackage(p.Name); wrong != "" {
			return wrong
		}
		if wrong := remedy.CheckVersion(p.Version); wrong != "" {
			return wrong
		}
		if (p.Arch != "" || o.Manager == Dnf) && !architecture.MatchString(p.Arch) {
			return fmt.Sprintf("%.40q is no architecture", p.Arch)
		}
		if seen[p.Name] {
			return p.Name + " is named twice"
		}
		seen[p.Name] = true
	}
	return ""
}

// Commands are what an order that makes sense has to run, one after the other: each a program and what it is given. They touch no
// other package, and give up when another apt-get or dnf is at work for long, or a mirror does not answer.
func (o Order) Commands() [][]string {
	if o.Manager == Dnf {
		return [][]string{slices.Concat([]string{Dnf}, o.dnf()), slices.Concat([]string{Dnf}, o.lock())}
	}
	return [][]string{slices.Concat([]string{Apt}, o.Apt()), slices.Concat([]string{"apt-mark"}, o.mark())}
}

// plainNames has apt-get and apt-mark read a name as one: to them "shop.+" is a pattern otherwise.
const plainNames = "APT::Cmd::Pattern-Only=true"

// Apt is what apt-get is given. It installs nothing that is not there, removes nothing, and keeps the configuration files that
// people changed. Its cache of packages is left aside: that may be right to a second only, and then tells of the versions before.
func (o Order) Apt() []string {
	argv := []string{"--assume-yes", "--quiet=1", "--only-upgrade", "--no-remove", "--allow-downgrades", "--no-install-recommends"}
	if !o.Hold {
		argv = append(argv, "--allow-change-held-packages")
	}
	for _, option := range []string{plainNames, "Dpkg::Options::=--force-confdef", "Dpkg::Options::=--force-confold", "Dpkg::Use-Pty=0",
		"Dir::Cache::pkgcache=", "DPkg::Lock::Timeout=30", "Acquire::Retries=1", "Acquire::http::Timeout=20", "Acquire::https::Timeout=20"} {
		argv = append(argv, "-o", option)
	}
	return append(append(argv, "install", "--"), o.names(Package.forApt)...)
}

// mark is what apt-mark is given, once the versions are in place.
func (o Order) mark() []string {
	verb := "unhold"
	if o.Hold {
		verb = "hold"
	}
	return append([]string{"-o", plainNames, verb, "--"}, o.names(Package.name)...)
}

// dnf is what dnf is given to install. What keeps it from anything else is that it sees nothing else: of all repositories just
// these versions are there for it. An empty first word of a list takes the place of what the host's own files say, to which the
// others would be added; and were excludes disabled there, all would be seen. The plugin local has a repository that no setting
// reaches. As nobody is asked, no repository has a key that could be taken in. Lists are not fetched anew: those that the agent has
// looked at count.
func (o Order) dnf() []string {
	argv := []string{"--quiet", "--assumeyes", "--disableplugin=local"}
	if !o.Hold {
		argv = append(argv, "--disableplugin=versionlock")
	}
	seen := "*.includepkgs=," + strings.Join(o.names(Package.ForDnf), ",")
	for _, option := range []string{"disable_excludes=", seen, "*.gpgkey=", "*.metadata_expire=-1", "installonlypkgs=", "strict=1",
		"exit_on_lock=1", "retries=1", "timeout=20"} {
		argv = append(argv, "--setopt="+option)
	}
	return append(append(argv, "install"), o.names(Package.ForDnf)...)
}

// lock is what dnf is given to hold versions, once they are in place. It asks no repository, and waits for another dnf: that they
// are not held is worse.
func (o Order) lock() []string {
	argv := []string{"--quiet", "--disablerepo=*", "versionlock"}
	if o.Hold {
		return append(append(argv, "add", "--raw"), o.names(func(p Package) string { return p.full() + ".*" })...)
	}
	return append(append(argv, "delete"), o.names(Package.name)...)
}

func (p Package) name() string { return p.Name }

func (o Order) names(text func(Package) string) []string {
	var out []string
	for _, p := range o.Packages {
		out = append(out, text(p))
	}
	return out
}
