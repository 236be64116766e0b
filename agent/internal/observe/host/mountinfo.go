package host

import (
	"bytes"

	"github.com/salveops/salve/agent/internal/observe/procfile"
)

// readOnly finds out from mountinfo whether a file system itself can be read only: what a mount permits is of no
// interest, for this process may see every mount read-only. known is false when there is no such mount. Of several
// at one place the last one covers the others.
func readOnly(mountinfo []byte, path string) (readOnly, known bool) {
	for len(mountinfo) > 0 {
		var line []byte
		line, mountinfo = procfile.Line(mountinfo)
		// 22 1 8:1 / /mount\040point rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
		place, _ := procfile.Field(procfile.Skip(line, 4))
		_, about, ok := bytes.Cut(line, []byte(" - "))
		if !ok || !unescapes(place, path) {
			continue
		}
		options, _ := procfile.Field(procfile.Skip(about, 2))
		first, _, _ := bytes.Cut(options, []byte(","))
		switch string(first) {
		case "ro":
			readOnly, known = true, true
		case "rw":
			readOnly, known = false, true
		}
	}
	return readOnly, known
}

// unescapes reports whether a word of mountinfo, in which blanks are written as \040, stands for path.
func unescapes(word []byte, path string) bool {
	for len(word) > 0 {
		c, n := word[0], 1
		if c == '\\' && len(word) >= 4 {
			c, n = (word[1]-'0')<<6|(word[2]-'0')<<3|(word[3]-'0'), 4
		}
		if path == "" || path[0] != c {
			return false
		}
		word, path = word[n:], path[1:]
	}
	return path == ""
}

// truth is how a sample says yes or no.
func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
