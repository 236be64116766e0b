// Package packages reads which versions of packages are installed, as dpkg or rpm has it. It changes nothing.
package packages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Manager has the records of what is installed.
type Manager interface {
	// Installed are the packages of these names, in this order. One that is not installed, or more than once, is an error;
	// ErrUnread is among them if that could not be found out.
	Installed(names []string) ([]Package, error)
	// Since is when files of the package were last unpacked, by the clock of then.
	Since(p Package) (time.Time, error)
	// Stamp is that of this moment.
	Stamp() (Stamp, error)
}

// Where this host's records are.
const (
	dpkgFolder = "/var/lib/dpkg"
	hostRoot   = "/"
)

// Host is what installs packages on this host: dpkg where it has installed any, and rpm elsewhere.
func Host() Manager {
	if info, err := os.Stat(Dpkg(dpkgFolder).status()); err == nil && info.Size() > 0 {
		return Dpkg(dpkgFolder)
	}
	return Rpm(hostRoot)
}

// Package is what is known of one that is installed.
type Package struct {
	Name, Version, Arch string
	Held                bool   // a person wants it to stay as it is
	State               string // "installed"; anything else is half of something, in dpkg's words
	Needed              bool   // the system needs it, and it is left to people

	since time.Time // rpm's
}

// Whole reports whether nothing is half done with it.
func (p Package) Whole() bool { return p.State == whole }

const whole = "installed"

// Errors of Installed.
var (
	ErrMissing = errors.New("is not installed")
	ErrUnread  = errors.New("read what is installed")
)

func unread(err error) error { return fmt.Errorf("%w: %w", ErrUnread, err) }

// one is what was found of each name, in their order.
func one(found map[string][]Package, names []string) ([]Package, error) {
	var out []Package
	for _, name := range names {
		switch list := found[name]; {
		case len(list) == 0:
			return nil, fmt.Errorf("%s %w", name, ErrMissing)
		case len(list) == 1:
			out = append(out, list[0])
		case list[0].Arch == list[1].Arch:
			return nil, fmt.Errorf("%s is installed twice, as %s and %s", name, list[0].Version, list[1].Version)
		default:
			return nil, fmt.Errorf("%s is installed for %d architectures", name, len(list))
		}
	}
	return out, nil
}

// Stamp changes whenever something is installed.
type Stamp string

func stamp(info fs.FileInfo) Stamp {
	return Stamp(fmt.Sprint(info.Size(), "@", info.ModTime().UnixNano()))
}
