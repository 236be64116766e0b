package release

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/packages"
	"github.com/salveops/salve/pkg/remedy"
)

// Version is one version of something that a service runs: a release behind its link, for one.
type Version struct {
	ID   string `json:"id"`   // no other version has it
	Name string `json:"name"` // for people
}

// State is what is in place now.
type State struct {
	Version
	Age    time.Duration // since it is in place, as far as the clock of the file system can be trusted
	Marked bool          // there is no way back from it
}

// Subject is what a service has versions of. The learner alone calls it, one call at a time, and looks each second.
type Subject interface {
	// Look is which version is in place now. An error says that this cannot be known.
	Look() (State, error)
	// Keep sees to it that one can come back to the version that is in place, before it is known to be good. It is no
	// version that ran well if what was kept is another one: then there is an error.
	Keep(v Version) error
	// Forget drops what was kept for other versions than these.
	Forget(known []Good) error
}

// subjectOf is what the arguments of a service's remedy are about. Each kind of remedy that goes back has its line here.
func (l *Learner) subjectOf(service string, a remedy.Returning) Subject {
	switch a := a.(type) {
	case *remedy.RollbackArgs:
		return link{a}
	case *remedy.FilesArgs:
		return &files{a: a, service: service, data: l.o.Data}
	case *remedy.PackagesArgs:
		return &installed{a: a, manager: packages.Host()}
	}
	return nil
}

// age is how long ago something was, in nanoseconds by the clock that file systems use, whatever the agent takes for the time of
// day.
func age(of int64) (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		return 0, fmt.Errorf("read the clock: %w", err)
	}
	return time.Duration(now.Nano() - of), nil
}
