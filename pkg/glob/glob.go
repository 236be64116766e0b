// Package glob is the one way in which names are matched: *, ? and [a-z], none of which crosses a
// slash. A backslash is an ordinary letter, as in systemd's own globs, because escaped unit names are
// full of them. A glob is matched here against names that exist; it never reaches systemd.
package glob

import (
	"path"
	"strings"
)

// Is reports whether the pattern can match anything but itself.
func Is(pattern string) bool { return strings.ContainsAny(pattern, "*?[") }

// Match reports whether the name is what the pattern says. Nothing matches an empty name, and a
// pattern that cannot be read matches nothing but itself.
func Match(pattern, name string) bool {
	if name == "" {
		return false
	}
	if pattern == name {
		return true
	}
	ok, err := path.Match(plain(pattern), name)
	return err == nil && ok
}

// Valid reports whether the pattern can be read.
func Valid(pattern string) bool {
	_, err := path.Match(plain(pattern), "")
	return err == nil
}

func plain(pattern string) string { return strings.ReplaceAll(pattern, `\`, `\\`) }
