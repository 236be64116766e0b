// Package version says which build this is.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// The linker sets these (see the Makefile); a plain `go build` leaves them empty.
var (
	version string // `git describe`, such as "v1.2.0" or "v1.2.0-3-gabc1234-dirty"
	commit  string // full hash
	date    string // of the commit, RFC 3339
)

// Info is one build.
type Info struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Date    string `json:"date"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Get is the build that runs. What the linker did not say comes from the build information that Go
// keeps, and else is "dev" and empty.
func Get() Info {
	i := Info{
		Version: version,
		Commit:  commit,
		Date:    date,
		Go:      runtime.Version(),
		OS:      runtime.GOOS,
		Arch:    runtime.GOARCH,
	}
	if b, ok := debug.ReadBuildInfo(); ok {
		i.fill(b)
	}
	if i.Version == "" {
		i.Version = "dev"
	}
	return i
}

// fill takes from b what is not known yet.
func (i *Info) fill(b *debug.BuildInfo) {
	if i.Version == "" && b.Main.Version != "(devel)" {
		i.Version = b.Main.Version
	}
	for _, s := range b.Settings {
		switch {
		case s.Key == "vcs.revision" && i.Commit == "":
			i.Commit = s.Value
		case s.Key == "vcs.time" && i.Date == "":
			i.Date = s.Value
		}
	}
}

// String is the build that runs, in one line for people.
func String() string { return Get().String() }

// String is one line for people: "v1.2.0 (abc1234, 2026-01-02T15:04:05Z, go1.26.8 linux/amd64)".
func (i Info) String() string {
	s := i.Version + " ("
	if i.Commit != "" {
		s += i.Commit[:min(12, len(i.Commit))] + ", "
	}
	if i.Date != "" {
		s += i.Date + ", "
	}
	return s + fmt.Sprintf("%s %s/%s)", i.Go, i.OS, i.Arch)
}
