//go:build lab

package scenario

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
)

// jobs is how many jobs systemd did for the shop on a host since a moment, whoever asked for them. It is what systemd
// wrote into the host's journal, and so outlives agents and controllers.
func (f *fleet) jobs(h *booted.Host, since time.Time) int {
	f.t.Helper()
	out := f.sh(h, fmt.Sprintf("journalctl --no-pager -o json --since=@%d.%06d _PID=1 UNIT=%s",
		since.Unix(), since.Nanosecond()/1000, shop))
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		var entry struct {
			Boot string `json:"_BOOT_ID"`
			Job  string `json:"JOB_ID"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			f.t.Fatal(err)
		}
		if entry.Job != "" {
			seen[entry.Boot+entry.Job] = true
		}
	}
	return len(seen)
}
