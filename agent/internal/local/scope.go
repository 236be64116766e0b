package local

import (
	"fmt"
	"path"
	"strings"
)

// unitSuffixes are the unit types that a remedy can act on.
var unitSuffixes = []string{".service", ".socket", ".timer", ".mount", ".slice", ".scope", ".target", ".path", ".swap"}

// Scope turns what people type into the scope of a pause: "all", "unit:NAME", "service:NAME". A bare
// name with a unit's suffix is a unit, any other is a service.
func Scope(target string) (string, error) {
	target = strings.TrimSpace(target)
	kind, name, ok := strings.Cut(target, ":")
	switch {
	case target == "all":
		return target, nil
	case ok && (kind == "unit" || kind == "service") && name != "":
		if err := checkName(name); err != nil {
			return "", err
		}
		return target, nil
	case ok || target == "":
		return "", fmt.Errorf("target %q %w: all, a unit such as web.service, or a service", target, ErrInvalid)
	}
	if err := checkName(target); err != nil {
		return "", err
	}
	for _, s := range unitSuffixes {
		if strings.HasSuffix(target, s) {
			return "unit:" + target, nil
		}
	}
	return "service:" + target, nil
}

// checkName refuses what can be no name of a unit or service.
func checkName(name string) error {
	if len(name) > 256 || strings.ContainsAny(name, " \t\r\n/*?[") {
		return fmt.Errorf("name %q %w: no spaces, slashes and globs", name, ErrInvalid)
	}
	return nil
}

// checkID lets pass what can be (the beginning of) an incident's ID.
func checkID(id string) (string, error) {
	id = strings.ToLower(strings.TrimSpace(id))
	if id == "last" {
		return id, nil
	}
	if id == "" || len(id) > 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return "", fmt.Errorf("incident ID %q %w: up to 32 hex digits, or last", id, ErrInvalid)
	}
	return id, nil
}

// checkText bounds what a person wrote.
func checkText(what, s string) (string, error) {
	s = strings.TrimSpace(s)
	if len(s) > maxReason {
		return "", fmt.Errorf("%s of %d bytes %w: at most %d", what, len(s), ErrInvalid, maxReason)
	}
	return s, nil
}

// matches reports whether the full name or the catalogue name of the signal is of that glob.
func (s Signal) matches(glob string) bool {
	if glob == "" {
		return true
	}
	full := s.Name
	if s.Of != "" {
		full += "{" + s.Of + "}"
	}
	for _, name := range []string{s.Name, full} {
		// A slash in host.disk["/var"] is part of the name and not a boundary.
		if ok, _ := path.Match(strings.ReplaceAll(glob, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00")); ok {
			return true
		}
	}
	return false
}
