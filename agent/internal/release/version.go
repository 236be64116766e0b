package release

import (
	"time"

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

// subjectOf is what the arguments of a remedy are about. Each kind of remedy that goes back has its line here.
func subjectOf(a remedy.Returning) Subject {
	switch a := a.(type) {
	case *remedy.RollbackArgs:
		return link{a}
	}
	return nil
}
