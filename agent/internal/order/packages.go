package order

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/salveops/salve/pkg/remedy"
)

// Package is a version of a package.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Kept is the architecture of the file in apt-get's own folder of archives that has the version; "": a repository has it.
	Kept string `json:"kept,omitempty"`
}

// String is the package as people write it, and apt-get reads it that asks a repository.
func (p Package) String() string { return p.Name + "=" + p.Version }

// archives is where apt-get keeps what it has downloaded. Only root can put something there.
const archives = "/var/cache/apt/archives/"

// File is where apt-get keeps the version for that architecture, if it does.
func (p Package) File(arch string) string {
	return archives + p.Name + "_" + strings.ReplaceAll(p.Version, ":", "%3a") + "_" + arch + ".deb"
}

// argument is the package as apt-get reads it.
func (p Package) argument() string {
	if p.Kept != "" {
		return p.File(p.Kept)
	}
	return p.String()
}

var architecture = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

func versions(o Order) string {
	switch {
	case o.Unit != "" || none(o) != "":
		return "it takes nothing but packages"
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
		if p.Kept != "" && !architecture.MatchString(p.Kept) {
			return fmt.Sprintf("%.40q is no architecture", p.Kept)
		}
		if seen[p.Name] {
			return p.Name + " is named twice"
		}
		seen[p.Name] = true
	}
	return ""
}

// Apt is what apt-get is given for an order that makes sense. It installs nothing that is not there, removes nothing, keeps
// the configuration files that people changed, and gives up when somebody else is at work for long, or a mirror does not answer.
// Its cache of packages is left aside: that may be right to a second only, and then tells of the versions before.
func (o Order) Apt() []string {
	argv := []string{"--assume-yes", "--quiet=1", "--only-upgrade", "--no-remove", "--allow-downgrades", "--no-install-recommends"}
	if !o.Hold {
		argv = append(argv, "--allow-change-held-packages")
	}
	for _, option := range []string{"Dpkg::Options::=--force-confdef", "Dpkg::Options::=--force-confold", "Dpkg::Use-Pty=0",
		"Dir::Cache::pkgcache=", "DPkg::Lock::Timeout=30", "Acquire::Retries=1", "Acquire::http::Timeout=20", "Acquire::https::Timeout=20"} {
		argv = append(argv, "-o", option)
	}
	return append(append(argv, "install", "--"), o.names(Package.argument)...)
}

// Mark is what apt-mark is given, once the versions are in place.
func (o Order) Mark() []string {
	verb := "unhold"
	if o.Hold {
		verb = "hold"
	}
	return append([]string{verb, "--"}, o.names(func(p Package) string { return p.Name })...)
}

func (o Order) names(text func(Package) string) []string {
	var out []string
	for _, p := range o.Packages {
		out = append(out, text(p))
	}
	return out
}
