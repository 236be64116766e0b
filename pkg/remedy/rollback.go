package remedy

import (
	"path"
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/defaults"
)

// RollbackArgs are the arguments of rollback.
type RollbackArgs struct {
	Return
	Link     string // the service's own release link, absolute; "": it has none
	Releases string // folder that releases lie in, absolute
	Marker   string // file in a release from which there is no way back
}

// Names implements Args.
func (a *RollbackArgs) Names() string { return a.Link }

func rollback() Spec {
	return Spec{
		Kind: Rollback, Target: OnPath, Disruptive: true, Undoable: true,
		Summary: "let the link to a service's release lead back to the release that last ran well, and start it anew",
		Args: slices.Concat(
			[]Arg{{Name: "releases", Type: String, Required: true, Help: "folder that all releases lie in. The link is the service's own " +
				"\"release\", and an allow block names it by paths"}},
			returnArgs("a release", "the link leads back"),
			[]Arg{{Name: "marker", Type: String, Default: defaults.NoRollback, Help: "a release with this file in it cannot be left by a " +
				"rollback, such as one that has migrated its data"}}),
		Needs: "The agent's user must be able to write the folder of the link, which the agent's unit leaves writable with " +
			"ReadWritePaths= in a drop-in. No part of the way to the link or to a release may be a symbolic link.",
		Worst: "old code meets data that newer code has written. A release with a marker is never left, and while it runs every " +
			"older one is forgotten; one that was put in place and taken away while the agent was away is not seen. It goes back " +
			"once in an incident, only to a release that this host has seen to run well and whose folder is still the same, and " +
			"never from a release that ran well itself unless a person asks for it.",
		Back: "The link leads to the release from before again and what was started is started anew, unless somebody has let it lead " +
			"elsewhere meanwhile.",
		decode: func(r *reader) Args {
			a := &RollbackArgs{Return: r.returns(), Releases: r.text("releases"), Marker: r.text("marker")}
			r.checkRollback(a)
			return a
		},
	}
}

func (r *reader) checkRollback(a *RollbackArgs) {
	if r.has("releases") {
		if wrong := checkFolder(a.Releases); wrong != "" {
			r.problem("releases", "%s", wrong)
		}
	}
	if a.Marker == "" || a.Marker == "." || a.Marker == ".." || strings.ContainsAny(a.Marker, "/\x00") {
		r.problem("marker", "marker must be the name of a file at the top of a release, such as %q", defaults.NoRollback)
	}
}

// checkFolder returns what is wrong with the path of one folder, or "".
func checkFolder(at string) string {
	switch {
	case !path.IsAbs(at) || path.Clean(at) != at || strings.ContainsAny(at, "*?[\\\x00"):
		return "\"" + at + "\" must be one folder, absolute, without \"..\", globs, or a slash at the end"
	case at == "/":
		return "everything lies below /; name the folder itself"
	}
	return ""
}
