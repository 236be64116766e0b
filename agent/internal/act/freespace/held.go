package freespace

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// heldBy is how many bytes on the device are held by processes of the control group in files that have no name any more.
// Processes whose files may not be looked at are passed over.
func heldBy(group string, dev uint64) (bytes uint64, err error) {
	if group == "" || group == "/" {
		return 0, nil // of a unit without processes, or of everybody
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	type inode struct{ dev, ino uint64 }
	seen := map[inode]bool{}
	for _, p := range processes {
		if _, err := strconv.Atoi(p.Name()); err != nil || !inGroup(p.Name(), group) {
			continue
		}
		fds, err := filepath.Glob(filepath.Join("/proc", p.Name(), "fd", "*"))
		if err != nil {
			return 0, err
		}
		for _, fd := range fds {
			var st unix.Stat_t // by way of the link that the kernel makes: of the open file itself
			if unix.Stat(fd, &st) != nil || st.Dev != dev || st.Nlink != 0 || st.Mode&unix.S_IFMT != unix.S_IFREG {
				continue
			}
			if id := (inode{st.Dev, st.Ino}); !seen[id] {
				seen[id] = true
				bytes += uint64(st.Blocks) * 512
			}
		}
	}
	return bytes, nil
}

// inGroup reports whether the process is in the control group or below it, in systemd's own hierarchy.
func inGroup(pid, group string) bool {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "cgroup"))
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controller, at, _ := strings.Cut(rest, ":")
		if (controller == "" || controller == "name=systemd") && (at == group || strings.HasPrefix(at, group+"/")) {
			return true
		}
	}
	return false
}
