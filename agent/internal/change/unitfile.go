package change

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/salveops/salve/agent/internal/systemd"
)

// maxUnitFile bounds what is read of one unit file.
const maxUnitFile = 1 << 20

// ours are the folders of what is set while a unit runs, by Salve above all, and of units that have no file of their own.
var ours = []string{"/systemd/system.control/", "/systemd/user.control/", "/systemd/transient/"}

// unitFiles are the digests of a unit's files by path. One that cannot be read has none, which is not "another".
func unitFiles(u systemd.Unit) map[string]string {
	out := make(map[string]string, 1+len(u.DropInPaths))
	for _, path := range append([]string{u.FragmentPath}, u.DropInPaths...) {
		if path == "" || slices.ContainsFunc(ours, func(dir string) bool { return strings.Contains(path, dir) }) {
			continue
		}
		if sum, err := digest(path); err == nil {
			out[path] = sum
		} else if !errors.Is(err, fs.ErrNotExist) {
			out[path] = ""
		}
	}
	return out
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxUnitFile)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// filesChanged says how the files of a unit differ from before; "" they do not.
func filesChanged(before, now map[string]string) string {
	var parts []string
	for _, path := range slices.Sorted(maps.Keys(now)) {
		switch was, known := before[path]; {
		case !known:
			parts = append(parts, path+" is new")
		case was != now[path] && was != "" && now[path] != "":
			parts = append(parts, path+" has another content")
		}
	}
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if _, there := now[path]; !there {
			parts = append(parts, path+" is gone")
		}
	}
	return strings.Join(parts, ", ")
}
