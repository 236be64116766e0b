package remedy

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/defaults"
)

// FreeSpaceArgs are the arguments of free_space.
type FreeSpaceArgs struct {
	Path     string        // folder, absolute; files are below it
	Free     float64       // share of bytes and of inodes of its file system that is to be free, 0 to 1
	Cleaners []string      // oneshot services that are run first, in this order
	Reopen   []string      // services that are reloaded if they hold files open that were removed
	Files    []string      // globs below Path, of files to be removed, the oldest first
	Keep     int           // so many of the newest files of each glob and folder stay; at least 1
	MinAge   time.Duration // files that were written to since stay
}

// Names implements Args.
func (a *FreeSpaceArgs) Names() string { return a.Path }

func (a *FreeSpaceArgs) parts() []Part {
	parts := slices.Concat(partsOf(Start, a.Cleaners), partsOf(Reload, a.Reopen))
	for i := range parts {
		parts[i].Spare = true // a full disk does not wait for the end of an upgrade, which may wait for room
	}
	return parts
}

// Bounds of free_space.
const (
	maxCleaners = 8
	maxGlobs    = 16
	// LeastAge is the shortest min_age: whatever still writes to a file has touched it since.
	LeastAge = time.Minute
)

func freeSpace() Spec {
	return Spec{
		Kind: FreeSpace, Target: OnPath,
		Summary: "make room on a file system: cleaners, then files that were removed and are held open, then the oldest files",
		Args: []Arg{
			{Name: "path", Type: String, Required: true, Target: true, Help: "folder on the file system, below which files may go"},
			{Name: "free", Type: Share, Default: fmt.Sprint(defaults.FreeShare), Help: "share of its bytes, and of its inodes, that is to be free; then it ends"},
			{Name: "cleaners", Type: Strings, Help: "oneshot services that make room, each run to its end, in this order, such as " +
				"\"logrotate.service\"; an allow block must permit their start. Those of packages are left out while packages are installed"},
			{Name: "reopen", Type: Strings, Help: "services that are reloaded if they hold files open that somebody removed; an allow " +
				"block must permit their reload"},
			{Name: "files", Type: Strings, Help: "globs below path of files to be removed, the oldest first; * stands for no slash"},
			{Name: "keep", Type: Integer, Default: fmt.Sprint(defaults.FreeKeep), Least: 1, Most: 10000, Help: "so many of the newest files of each glob in each folder stay"},
			{Name: "min_age", Type: Duration, Default: defaults.Duration(defaults.FreeMinAge), Min: LeastAge, Max: 365 * 24 * time.Hour,
				Help: "files that were written to since stay"},
		},
		Needs: "The agent's user must be able to write the folders that files go from, which the agent's unit leaves writable with " +
			"ReadWritePaths= in a drop-in, and Linux 5.8. No part of the way to them may be a symbolic link. " +
			"Files that other users hold open are seen with CAP_SYS_PTRACE only.",
		Worst: "a file is gone that somebody wanted. Only regular files go that a glob names, never the newest, never one by way of a " +
			"symbolic link, with another name (a hard link) or on another mount, at most 200 in one run; a dry run lists them all.",
		Back: "Never: removed files are gone.",
		decode: func(r *reader) Args {
			a := &FreeSpaceArgs{
				Path: r.text("path"), Free: r.share("free", defaults.FreeShare), Cleaners: r.services("cleaners"), Reopen: r.services("reopen"),
				Files: r.strings("files"), Keep: r.integer("keep", defaults.FreeKeep), MinAge: r.duration("min_age", defaults.FreeMinAge),
			}
			r.checkFreeSpace(a)
			return a
		},
	}
}

func (r *reader) checkFreeSpace(a *FreeSpaceArgs) {
	if r.has("path") {
		if wrong := checkFolder(a.Path); wrong != "" {
			r.problem("path", "%s", wrong)
		}
	}
	if a.Free <= 0 || a.Free > 0.9 {
		r.problem("free", "free must be above 0 and at most 0.9")
	}
	if len(a.Cleaners)+len(a.Reopen)+len(a.Files) == 0 {
		r.problem("", "free_space needs cleaners, reopen or files: something that makes room")
	}
	if len(a.Files) > maxGlobs {
		r.problem("files", "files has %d globs; at most %d", len(a.Files), maxGlobs)
	}
	for _, glob := range a.Files {
		if wrong := CheckFileGlob(glob); wrong != "" {
			r.problem("files", "%s", wrong)
		}
	}
}

// CheckFileGlob returns what is wrong with a glob of files below a folder, or "".
func CheckFileGlob(glob string) string {
	_, err := path.Match(glob, "")
	switch {
	case err != nil:
		return "\"" + glob + "\" is a broken glob"
	case glob == "" || path.IsAbs(glob) || path.Clean(glob) != glob || strings.HasPrefix(glob, "..") || glob == "." ||
		strings.ContainsRune(glob, 0):
		return "\"" + glob + "\" must lie below the path: relative, without \"..\" and double slashes"
	case strings.Contains(glob, "**"):
		return "\"" + glob + "\": ** means nothing here; write one glob for each depth"
	}
	return ""
}

// services reads names of services.
func (r *reader) services(name string) []string {
	list := r.strings(name)
	if len(list) > maxCleaners {
		r.problem(name, "%s has %d services; at most %d", name, len(list), maxCleaners)
	}
	for _, unit := range list {
		if wrong := CheckUnitName(unit, false); wrong != "" {
			r.problem(name, "%s", wrong)
		} else if !strings.HasSuffix(unit, ".service") {
			r.problem(name, "%q is no service", unit)
		}
	}
	return list
}
