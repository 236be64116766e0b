// Package log counts lines of systemd's journal that match regular expressions: those of a service's units, and
// those of the kernel. It reads the journal's files itself, only the entries of these units, and keeps nothing on
// the disk: where it has to begin anew, it looks back over one window in the journal, and is where it would have
// been. DESIGN.md says why.
package log

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/glob"
)

// Target is one regular expression over the lines of a service, or of the kernel.
type Target struct {
	Service string // "" means the host: the kernel's lines
	Name    string
	Unit    string         // unit name or glob; "" with the host
	Except  []string       // units and globs that Unit does not mean
	Match   *regexp.Regexp // of the line without its metadata
	Window  time.Duration  // whole seconds over which the rate is taken; 0 means 10 s
}

func (t Target) normal() Target {
	t.Window = cmp.Or(t.Window, defaults.LogWindow)
	return t
}

func (t Target) equal(o Target) bool {
	return t.Service == o.Service && t.Name == o.Name && t.Unit == o.Unit && slices.Equal(t.Except, o.Except) &&
		t.Match.String() == o.Match.String() && t.Window == o.Window
}

// covers reports whether a unit's lines are meant.
func covers(unit, pattern string, except []string) bool {
	return glob.Match(pattern, unit) && !slices.ContainsFunc(except, func(e string) bool { return glob.Match(e, unit) })
}
