package remedy

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// FilesArgs are the arguments of rollback_files.
type FilesArgs struct {
	Return
	Path   string   // folder that the files are below, absolute
	Files  []string // globs below Path; never empty
	Marker string   // while there is a file at this absolute path there is no way back; "": there always is
	Check  []string // program that has to find the files right before a unit follows, with its arguments; nil: none
}

// Names implements Args.
func (a *FilesArgs) Names() string { return a.Path }

func rollbackFiles() Spec {
	return Spec{
		Kind: RollbackFiles, Target: OnPath, Disruptive: true, Undoable: true,
		Summary: "put the files of a service's configuration, or the drop-ins of its unit, back to what it last ran well with, and start it anew",
		Args: slices.Concat(
			[]Arg{
				{Name: "path", Type: String, Required: true, Target: true, Help: "folder that the files are below; a service has one remedy of this kind"},
				{Name: "files", Type: Strings, Required: true, Help: "globs below path of all files that belong together, at most 64 files with 1 MiB each; " +
					"* stands for no slash"},
			},
			returnArgs("a state of the files", "they are back"),
			[]Arg{
				{Name: "marker", Type: String, Help: "while there is a file at this path nothing is put back, and what ran well is forgotten"},
				{Name: "check", Type: Command, Help: "program with its arguments that looks at the files once they are back, as the agent's user, such as \"nginx -t\". Unless it " +
					"ends with status 0 all is as before, and no unit is started; an allow block must permit exec on it"},
			}),
		Needs: "The agent's user must be able to read the files and to write their folders, which its unit leaves writable with ReadWritePaths= " +
			"in a drop-in, and to give them to their owners; where those are others, that takes CAP_CHOWN and CAP_DAC_OVERRIDE. Whoever can write " +
			"drop-ins of units, or files that root's programs believe, is as good as root: so is then whoever owns the agent. Drop-ins take polkit's " +
			"reload-daemon, too, which it gets where an allow block names their folder without a glob. The contents are kept in the " +
			"agent's own folder, which nobody else may read: they may hold secrets.",
		Worst: "an edit is undone that somebody wanted, or files come back that do not fit what else has changed. It goes back once in an " +
			"incident, only to files that this host has seen to run well and whose contents are still what was kept, never from " +
			"files that ran well themselves unless a person asks, and not over what is edited meanwhile. No file beside those that the globs " +
			"name is touched, and none of Salve's own. All are laid beside their places first; a failure while they take them puts back those that did.",
		Back: "The files from before come back, which are kept before the first is touched, and what was started is started anew, unless " +
			"somebody has changed a file meanwhile. If the agent dies half-way it is taken back when it starts again.",
		decode: func(r *reader) Args {
			a := &FilesArgs{Return: r.returns(), Path: r.text("path"), Files: r.strings("files"), Marker: r.text("marker"), Check: r.command("check")}
			r.checkFiles(a)
			return a
		},
	}
}

func (r *reader) checkFiles(a *FilesArgs) {
	if r.has("path") {
		if wrong := checkFolder(a.Path); wrong != "" {
			r.problem("path", "%s", wrong)
		}
	}
	if r.has("files") && len(a.Files) == 0 || len(a.Files) > maxGlobs {
		r.problem("files", "files has %d globs; it needs 1 to %d", len(a.Files), maxGlobs)
	}
	for _, glob := range a.Files {
		wrong := CheckFileGlob(glob)
		if wrong == "" {
			wrong = CheckReach(a.Path, glob)
		}
		if wrong != "" {
			r.problem("files", "%s", wrong)
		}
	}
	if r.has("marker") && (!path.IsAbs(a.Marker) || path.Clean(a.Marker) != a.Marker) {
		r.problem("marker", "marker must be the absolute path of a file, without \"..\"")
	}
	for _, word := range a.Check {
		if strings.Contains(word, "${") {
			r.problem("check", "check is written out: it has no facts")
		}
	}
}

// VerbReloadManager has the manager read unit files and drop-ins again. polkit knows no unit with it.
const VerbReloadManager = "reload-daemon"

// unitFolders are where the system's manager looks for units of people's own and their drop-ins.
var unitFolders = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system"}

// otherUnits are where the manager finds units that are not people's own.
var otherUnits = []string{"/usr/lib/systemd/system", "/lib/systemd/system", "/etc/systemd/system.control", "/run/systemd/system.control",
	"/run/systemd/transient", "/run/systemd/generator", "/run/systemd/generator.early", "/run/systemd/generator.late"}

// ownFolders are Salve's own, of which no file is put back: what the agent may do is in them.
var ownFolders = []string{"/etc/salve", "/usr/lib/salve", "/var/lib/salve", "/run/salve", "/run/salve-helper", "/etc/polkit-1"}

// DropIn is the unit of whose drop-ins that is the folder, for the system's manager; "": it is no such folder.
func DropIn(folder string) string {
	unit, ok := strings.CutSuffix(path.Base(folder), ".d")
	if !ok || !slices.Contains(unitFolders, path.Dir(folder)) || CheckUnitName(unit, false) != "" {
		return ""
	}
	return unit
}

// CheckReach returns why the glob may lead to what is not to be put back, or "": to Salve's own files, and to unit files other than
// the drop-ins of one unit.
func CheckReach(folder, glob string) string {
	at := path.Join(folder, glob)
	if unit := DropIn(folder); strings.HasPrefix(unit, "salve-") {
		return fmt.Sprintf("%q has drop-ins of %s, which are Salve's own", folder, unit)
	}
	for _, own := range ownFolders {
		if leadsInto(at, own) {
			return fmt.Sprintf("%q may name files in %s, which are Salve's own", at, own)
		}
	}
	for _, units := range slices.Concat(unitFolders, otherUnits) {
		if leadsInto(at, units) && (DropIn(folder) == "" || strings.Contains(glob, "/")) {
			return fmt.Sprintf("%q may name unit files; the drop-ins of one unit have path = %q", at, unitFolders[0]+"/NAME.service.d")
		}
	}
	return ""
}

// leadsInto reports whether a glob may name something in the folder or below it.
func leadsInto(glob, folder string) bool {
	globs, parts := strings.Split(glob, "/"), strings.Split(folder, "/")
	if len(globs) <= len(parts) {
		return false
	}
	for i, part := range parts {
		if ok, err := path.Match(globs[i], part); err == nil && !ok {
			return false
		}
	}
	return true
}
