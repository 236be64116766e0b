package release

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/packages"
	"github.com/salveops/salve/pkg/remedy"
)

// Installed is the packages as one version of what a service runs: "shop=1.0 shop-common=1.0".
func Installed(list []packages.Package) Version {
	var words []string
	for _, p := range list {
		words = append(words, p.Name+"="+p.Version)
	}
	text := strings.Join(words, " ")
	return Version{ID: text, Name: text}
}

// PackagesOf are the versions by name of what Installed made; ok is false of anything else.
func PackagesOf(v Version) (versions map[string]string, ok bool) {
	versions = map[string]string{}
	for _, word := range strings.Fields(v.ID) {
		name, version, _ := strings.Cut(word, "=")
		if remedy.CheckPackage(name) != "" || remedy.CheckVersion(version) != "" {
			return nil, false
		}
		versions[name] = version
	}
	return versions, len(versions) > 0
}

// MarkedBy is the first of the files that is there; "": there is none.
func MarkedBy(files []string) (string, error) {
	for _, file := range files {
		if there, err := Marked(file); there || err != nil {
			return file, err
		}
	}
	return "", nil
}

// installed is the subject of packages. Their older versions are kept by whoever runs the repository.
type installed struct {
	a       *remedy.PackagesArgs
	manager packages.Manager
	stamp   packages.Stamp
	state   State
	since   time.Time
	err     error     // that there is no such version
	tried   time.Time // when it was read last
}

// again is after how long what could not be read is read once more: each time may be a process.
const again = time.Minute

// Look reads what is installed when something was installed since it was read last.
func (p *installed) Look() (State, error) {
	stamp, err := p.manager.Stamp()
	if err != nil {
		return State{}, err
	}
	if stamp != p.stamp || errors.Is(p.err, packages.ErrUnread) && time.Since(p.tried) >= again {
		p.err, p.stamp, p.tried = p.read(), stamp, time.Now()
	}
	if p.err != nil {
		return State{}, p.err
	}
	if p.state.Age, err = age(p.since.UnixNano()); err != nil {
		return State{}, err
	}
	mark, err := MarkedBy(p.a.Markers())
	p.state.Marked = mark != ""
	return p.state, err
}

func (p *installed) read() error {
	list, err := p.manager.Installed(p.a.Packages)
	if err != nil {
		return err
	}
	p.since = time.Time{}
	for _, one := range list {
		if !one.Whole() {
			return fmt.Errorf("%s is %s", one.Name, one.State)
		}
		at, err := p.manager.Since(one)
		if err != nil {
			return err
		}
		if at.After(p.since) {
			p.since = at
		}
	}
	p.state.Version = Installed(list)
	return nil
}

func (*installed) Keep(Version) error  { return nil }
func (*installed) Forget([]Good) error { return nil }
