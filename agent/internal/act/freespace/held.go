package freespace

import (
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/unit"
)

// holds reports whether a process of the control group takes room on the device by files that have no name any more.
// Processes whose files may not be looked at are passed over.
func holds(group string, dev uint64) (bool, error) {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return false, err
	}
	for _, p := range processes {
		if _, err := strconv.Atoi(p.Name()); err != nil || !unit.Inside(unit.GroupOf(p.Name()), group) {
			continue
		}
		fds, err := filepath.Glob(filepath.Join("/proc", p.Name(), "fd", "*"))
		if err != nil {
			return false, err
		}
		for _, fd := range fds {
			var st unix.Stat_t // by way of the link that the kernel makes: of the open file itself
			if unix.Stat(fd, &st) == nil && st.Dev == dev && st.Nlink == 0 && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Blocks > 0 {
				return true, nil
			}
		}
	}
	return false, nil
}
