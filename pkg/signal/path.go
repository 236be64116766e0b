package signal

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Path is a parsed signal name: host.disk["/var"].used_ratio has Family "host.disk", Key "/var",
// Field "used_ratio"; probe.health.ok has Family "probe", Key "health", Field "ok"; unit.cpu has
// Family "unit", no Key, Field "cpu". AnyKey stands for every instance.
type Path struct {
	Family string
	Key    string
	Field  string
}

// AnyKey is the key that stands for every instance of a family.
const AnyKey = "*"

// String is the canonical name, as conditions write it.
func (p Path) String() string {
	switch {
	case p.Key == "":
		return p.Family + "." + p.Field
	case dotted(p.Family) && identifier(p.Key):
		return p.Family + "." + p.Key + "." + p.Field
	}
	return p.Family + "[" + strconv.Quote(p.Key) + "]." + p.Field
}

// ParsePath reads a signal name in the form that String writes; probe["health"].ok is understood
// as well as probe.health.ok. It checks the form only: Lookup says whether the signal exists.
func ParsePath(name string) (Path, error) {
	head, key, tail, err := cutKey(name)
	if err != nil {
		return Path{}, err
	}
	words := strings.Split(head, ".")
	if key != "" {
		words = append(words, strings.Split(tail, ".")...)
	}
	for _, w := range words {
		if !identifier(w) {
			return Path{}, fmt.Errorf("%q in the signal name %q is not a word", w, name)
		}
	}
	last := len(words) - 1
	switch {
	case key != "":
		return Path{Family: head, Key: key, Field: tail}, nil
	case last == 0:
		return Path{}, fmt.Errorf("%q is not a signal name: a family and a field are needed", name)
	case dotted(words[0]) && last >= 2:
		return Path{Family: words[0], Key: words[1], Field: strings.Join(words[2:], ".")}, nil
	}
	return Path{Family: strings.Join(words[:last], "."), Field: words[last]}, nil
}

// cutKey splits head["key"].tail; without a key everything is head.
func cutKey(name string) (head, key, tail string, err error) {
	head, rest, found := strings.Cut(name, "[")
	if !found {
		return name, "", "", nil
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil || quoted[0] != '"' {
		return "", "", "", errors.New(`the key of a signal name is written in double quotes: host.disk["/var"]`)
	}
	if key, err = strconv.Unquote(quoted); err != nil || key == "" {
		return "", "", "", errors.New("the key of a signal name is empty or cannot be read")
	}
	tail, found = strings.CutPrefix(rest[len(quoted):], "].")
	if !found {
		return "", "", "", errors.New(`after the key of a signal name comes "]." and a field`)
	}
	return head, key, tail, nil
}

// dotted reports whether a family's key stands between dots. What services and contexts declare gets its name in the
// configuration, where it is a word; mount points and devices are quoted.
func dotted(family string) bool {
	return slices.Contains([]string{"probe", "pool", "log", SLO, Context}, family)
}

// identifier reports whether s can stand between dots.
func identifier(s string) bool {
	for i, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_':
		case i > 0 && (r >= '0' && r <= '9' || r == '-'):
		default:
			return false
		}
	}
	return s != ""
}
