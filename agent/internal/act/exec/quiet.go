package exec

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/salveops/salve/pkg/incident"
)

// attemptVariable marks every process of an attempt's program: it is in their environment.
const attemptVariable = "SALVE_ATTEMPT="

// Quiet reports whether no process is left of the attempt's program.
func (Kind) Quiet(a *incident.Attempt) bool { return quiet("/proc", a.ID) }

// quiet looks for processes of the attempt below a proc folder. Processes of other users cannot be read; none of
// them is of a program that this agent started.
func quiet(proc, attempt string) bool {
	found, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "environ"))
	if err != nil || len(found) == 0 {
		return false
	}
	mark := []byte(attemptVariable + attempt + "\x00")
	for _, path := range found {
		env, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if bytes.HasPrefix(env, mark) || bytes.Contains(env, append([]byte{0}, mark...)) {
			return false
		}
	}
	return true
}
