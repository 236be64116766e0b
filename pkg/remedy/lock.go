package remedy

import (
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/glob"
)

// Lock names one thing that no two remedies touch at once on a host: what it is, and its name, such as "unit web.service".
// A unit may be a glob, which stands for all that it matches; a folder stands for all below it, and
// the host for everything.
type Lock string

// onBalancer is what two pools have in common that are behind one HAProxy.
const onBalancer Target = "balancer"

// onShared is what hosts share, by the name under which the controller permits it.
const onShared Target = "shared"

// SharedLock is the lock on what hosts share; "" if it has no name.
func SharedLock(name string) Lock { return LockOn(onShared, name) }

// LockOn is the lock on a thing; "" if it has no name.
func LockOn(what Target, name string) Lock {
	if name == "" {
		return ""
	}
	return Lock(string(what) + " " + name)
}

// BalancerLock is the lock on the HAProxy that is reached there; "" if it is nowhere.
func BalancerLock(at string) Lock { return LockOn(onBalancer, at) }

// Unit is the unit, or glob of units, that is locked; "" if it is something else.
func (l Lock) Unit() string {
	if name, ok := strings.CutPrefix(string(l), string(OnUnit)+" "); ok {
		return name
	}
	return ""
}

// meets reports whether some thing may be behind both locks.
func (l Lock) meets(other Lock) bool {
	what, name, _ := strings.Cut(string(l), " ")
	with, others, _ := strings.Cut(string(other), " ")
	switch {
	case what == string(OnHost) || with == string(OnHost):
		return true
	case what != with || what == string(OnExec): // one program serves whoever calls it, but not while the host goes down
		return false
	case what == string(OnUnit):
		return glob.Overlap(name, others)
	case what == string(OnPath):
		return below(name, others) || below(others, name)
	}
	return name == others
}

func below(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}

// Locks are the given ones in the order of their names, each once and none of "", as Meet needs them.
func Locks(list ...Lock) []Lock {
	list = slices.DeleteFunc(slices.Clone(list), func(l Lock) bool { return l == "" })
	slices.Sort(list)
	return slices.Compact(list)
}

// Meet is the first of mine that meets one of the others'; "" if none does.
func Meet(mine, others []Lock) Lock {
	for _, l := range mine {
		if slices.ContainsFunc(others, l.meets) {
			return l
		}
	}
	return ""
}
