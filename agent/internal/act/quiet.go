package act

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// attemptVariable marks every process of an attempt's program: it is in their environment.
const attemptVariable = "SALVE_ATTEMPT="

// Quiet reports whether nothing of the attempt runs any more: neither a job of systemd for its unit, nor a
// process that its program left. What cannot be known is not quiet.
func (r *Runner) Quiet(a *incident.Attempt) bool {
	if remedy.Kind(a.Kind) == remedy.Exec {
		return quiet("/proc", a.ID)
	}
	spec, known := remedy.Lookup(a.Kind)
	if !known || spec.Target != remedy.OnUnit {
		return known
	}
	u, ok := r.o.Systemd.Unit(a.Target)
	return ok && u.Job == 0
}

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
