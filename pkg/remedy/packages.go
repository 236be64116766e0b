package remedy

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/defaults"
)

// PackagesArgs are the arguments of rollback_packages.
type PackagesArgs struct {
	Return
	Packages []string // their names, in this order; never empty
	Marker   string   // file that there is once there is no way back, absolute; "": see Markers
}

// Names implements Args: the first of the packages. The others are parts.
func (a *PackagesArgs) Names() string {
	if len(a.Packages) == 0 {
		return ""
	}
	return a.Packages[0]
}

func (a *PackagesArgs) parts() []Part {
	parts := a.Return.parts()
	for _, name := range a.Packages[min(1, len(a.Packages)):] {
		parts = append(parts, Part{Kind: RollbackPackages, Name: name})
	}
	return parts
}

// Markers are the files each of which says that there is no way back.
func (a *PackagesArgs) Markers() []string {
	if a.Marker != "" {
		return []string{a.Marker}
	}
	var files []string
	for _, name := range a.Packages {
		files = append(files, path.Join("/usr/share", name, defaults.NoRollback))
	}
	return files
}

// MostPackages is how many packages go back together.
const MostPackages = 16

func rollbackPackages() Spec {
	return Spec{
		Kind: RollbackPackages, Target: OnPackage, Disruptive: true, Undoable: true, ByPerson: true,
		Summary: "put those versions of packages in place with which the service last ran well, hold them, and start it anew; " +
			"only for a person",
		Args: slices.Concat(
			[]Arg{{Name: "packages", Type: Strings, Required: true, Target: true, Help: "the packages that go back together, such as " +
				"those that are built from one source. An allow block must name each by packages"}},
			returnArgs("a set of versions", "they are in place"),
			[]Arg{{Name: "marker", Type: String, Default: "/usr/share/PACKAGE/" + defaults.NoRollback, Help: "while this file is there " +
				"nothing goes back, such as since a version has migrated its data; by default one that each of the packages may bring"}}),
		Needs: "A person who says `salve agent run`: rules that try it only say that it could be done, and what the command is. apt-get, on " +
			"a host whose package lists, or /var/cache/apt/archives, still have the older version; or dnf 4 with its plugin versionlock " +
			"and a repository that still has it. And salve-agent-helper.socket, which is off by default.",
		Worst: "old code meets data that newer code has written, and the scripts of the packages fail half-way. Nothing runs that would " +
			"install, remove or change any other package, or one that a person holds: apt-get is asked first what it would do; dnf " +
			"sees no other package than these versions, and refuses before it changes anything. A configuration file that people changed " +
			"stays with dpkg, and with rpm as the package says. It goes back once in an incident, only to versions that this host has " +
			"seen to run well, and never touches packages that the system needs, or Salve's own.",
		Back: "The versions from before are installed again and not held any more, and what was started is started anew, unless somebody " +
			"has installed others meanwhile. Until then the packages stay held: no upgrade brings the bad version back.",
		decode: func(r *reader) Args {
			a := &PackagesArgs{Return: r.returns(), Packages: r.strings("packages")}
			if r.has("marker") {
				a.Marker = r.text("marker")
			}
			r.checkPackages(a)
			return a
		},
	}
}

func (r *reader) checkPackages(a *PackagesArgs) {
	if r.has("packages") && len(a.Packages) == 0 {
		r.problem("packages", "packages names none; nothing listed, nothing changed")
	}
	if len(a.Packages) > MostPackages {
		r.problem("packages", "packages has %d names; at most %d go back together", len(a.Packages), MostPackages)
		return
	}
	for i, name := range a.Packages {
		if wrong := CheckPackage(name); wrong != "" {
			r.problem("packages", "%s", wrong)
		} else if slices.Contains(a.Packages[:i], name) {
			r.problem("packages", "%s is named twice", name)
		}
	}
	if r.has("marker") && (!path.IsAbs(a.Marker) || path.Clean(a.Marker) != a.Marker || a.Marker == "/" || strings.Contains(a.Marker, "\x00")) {
		r.problem("marker", "marker must be the absolute path of a file, without \"..\"")
	}
}

// Letters of names and versions that dpkg or rpm knows, without those at the end that apt-get takes for a wish to install or to
// remove, and without any that dnf takes for a pattern. A colon ends the epoch, which is a number: dnf would take what is before
// any other for the rest of the name.
var (
	packageName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._-]{0,98}[A-Za-z0-9+]$`)
	packageVersion = regexp.MustCompile(`^([0-9]{1,9}:)?[A-Za-z0-9]([A-Za-z0-9.+~^_-]{0,198}[A-Za-z0-9])?$`)
)

// CheckPackage returns why the name is none of a package whose version may be changed, or "".
func CheckPackage(name string) string {
	switch {
	case !packageName.MatchString(name):
		return fmt.Sprintf("%.110q is no name of a package: it has two to a hundred letters, digits, + . _ -, and no architecture", name)
	case name == "salve" || strings.HasPrefix(name, "salve-"):
		return name + " is Salve's own"
	}
	return ""
}

// CheckVersion returns why this is no version of a package that can be asked for, or "".
func CheckVersion(version string) string {
	if !packageVersion.MatchString(version) {
		return fmt.Sprintf("%.210q is no version of a package that can be asked for", version)
	}
	return ""
}
