// Package journaltest has tests write journals: real ones with systemd-journal-remote, which has journald's own
// code for the files, and a whole journald of their own.
package journaltest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/require"
)

const remote = "/lib/systemd/systemd-journal-remote"

// Entry is one line to write.
type Entry struct {
	Boot   string        // ID of the boot, without dashes
	At     time.Duration // CLOCK_MONOTONIC of that boot
	Unit   string        // "": none
	Text   string
	Fields []string // more of them, as NAME=value
}

// Remote appends the entries to a journal file, which it makes if need be. env says how: SYSTEMD_JOURNAL_COMPACT=0
// and the like.
func Remote(t testing.TB, file string, env []string, entries ...Entry) {
	t.Helper()
	_, err := os.Stat(remote)
	require.That(t, "systemd-journal-remote", err == nil, "Debian package systemd-journal-remote")
	var in strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&in, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n",
			1_700_000_000_000_000+e.At.Microseconds(), e.At.Microseconds(), e.Boot)
		fields := append(slices.Clone(e.Fields), "MESSAGE="+e.Text)
		if e.Unit != "" {
			fields = append(fields, "_SYSTEMD_UNIT="+e.Unit)
		}
		for _, f := range fields {
			fmt.Fprintln(&in, f)
		}
		fmt.Fprintln(&in)
	}
	cmd := exec.Command(remote, "--output="+file, "-")
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(in.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("write %s: %v\n%s", filepath.Base(file), err, out)
	}
}
