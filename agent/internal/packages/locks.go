package packages

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// lockSettings are those of the plugin of dnf 4 that holds versions.
const lockSettings = "etc/dnf/plugins/versionlock.conf"

var errNoLocks = errors.New("dnf's plugin versionlock is not installed, or not enabled in /" + lockSettings)

// Lockable returns why no version can be held on this host; nil: they can.
func (r Rpm) Lockable() error {
	_, err := r.locks()
	return err
}

// locks are the lines of dnf's list of versions that are held, or never to be installed. errNoLocks: nothing reads that list.
func (r Rpm) locks() ([]string, error) {
	text, err := os.ReadFile(filepath.Join(string(r), lockSettings))
	if errors.Is(err, os.ErrNotExist) {
		return nil, errNoLocks
	} else if err != nil {
		return nil, err
	}
	set := map[string]string{"enabled": "1"}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, "="); ok {
			set[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	switch list := set["locklist"]; {
	case !slices.Contains([]string{"1", "yes", "true", "on"}, strings.ToLower(set["enabled"])):
		return nil, errNoLocks
	case !filepath.IsAbs(list):
		return nil, fmt.Errorf("/%s has no absolute path as locklist", lockSettings)
	default:
		text, err = os.ReadFile(filepath.Join(string(r), list))
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%s is missing, without which dnf's plugin versionlock fails", list)
		} else if err != nil {
			return nil, err
		}
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// about reports whether a line of the list can mean the package. It is "NAME-EPOCH:VERSION-RELEASE.*" as dnf writes it, and
// people shorten that, or use patterns; a line that starts with "!" is of what must not be installed.
func about(line, name string) bool {
	line = strings.TrimPrefix(line, "!")
	if epoch, rest, ok := strings.Cut(line, ":"); ok && strings.Trim(epoch, "0123456789") == "" {
		line = rest
	}
	if i := strings.IndexAny(line, "*?["); i >= 0 && strings.HasPrefix(name, line[:i]) {
		return true
	}
	rest, ok := strings.CutPrefix(line, name)
	if version, more := strings.CutPrefix(rest, "-"); ok && more { // else it is of a longer name
		return version != "" && strings.ContainsAny(version[:1], "0123456789*?[")
	}
	return ok && (rest == "" || strings.ContainsAny(rest[:1], ".*?["))
}
