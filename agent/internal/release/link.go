package release

import (
	"path"
	"strings"

	"github.com/salveops/salve/pkg/remedy"
)

// Version is the release as one of the versions of its service.
func (r Release) Version() Version {
	return Version{ID: r.Identity + " " + r.Folder, Name: path.Base(r.Folder)}
}

// ReleaseOf is the release that is such a version.
func ReleaseOf(v Version) Release {
	identity, folder, _ := strings.Cut(v.ID, " ")
	return Release{Folder: folder, Identity: identity}
}

// link is the subject of a release link. Releases are kept by whoever deploys them.
type link struct{ a *remedy.RollbackArgs }

func (l link) Look() (State, error) {
	p, err := Open(l.a.Link, l.a.Releases)
	if err != nil {
		return State{}, err
	}
	defer p.Close()
	now, err := p.Current()
	if err != nil {
		return State{}, err
	}
	marked, err := p.Marked(now.Release, l.a.Marker)
	return State{Version: now.Version(), Age: now.Age, Marked: marked}, err
}

func (link) Keep(Version) error  { return nil }
func (link) Forget([]Good) error { return nil }
