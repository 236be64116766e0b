package remedy

import (
	"fmt"
	"path"
	"strings"
)

// unitTypes are the kinds of units that have a life of their own which can be healed.
func unitTypes() []string {
	return []string{
		".service", ".socket", ".timer", ".mount", ".automount", ".path", ".target", ".slice", ".scope", ".swap",
	}
}

// systemd's own limit, and the letters that it allows in unit names.
const (
	maxUnitName = 255
	unitLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@"
	globLetters = "*?[]"
)

// CheckUnitName returns what is wrong with the name of a unit, or "". A glob may stand for the name
// where glob is true; it must still say what type of unit it means, unless it ends in *.
func CheckUnitName(name string, glob bool) string {
	letters := unitLetters
	if glob {
		letters += globLetters
	}
	switch {
	case name == "":
		return "the unit has no name"
	case len(name) > maxUnitName:
		return fmt.Sprintf("a unit's name has at most %d letters", maxUnitName)
	case !glob && strings.ContainsAny(name, "*?["):
		return fmt.Sprintf("%q is a glob; this must be one unit", name)
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return !strings.ContainsRune(letters, r) }); i >= 0 {
		return fmt.Sprintf("%q is no unit name: systemd does not allow %q in it", name, []rune(name[i:])[0])
	}
	if _, err := path.Match(strings.ReplaceAll(name, `\`, `\\`), ""); glob && err != nil {
		return fmt.Sprintf("%q is a broken glob", name)
	}
	if glob && strings.HasSuffix(name, "*") {
		return ""
	}
	for _, suffix := range unitTypes() {
		if stem, ok := strings.CutSuffix(name, suffix); ok && stem != "" {
			if strings.HasSuffix(stem, "@") {
				return fmt.Sprintf("%q is a template; name an instance (%s)", name, stem+"1"+suffix)
			}
			return ""
		}
	}
	return fmt.Sprintf("%q does not say what type of unit it is; did you mean %q?", name, name+".service")
}
