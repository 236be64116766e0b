// Package remedy is the table of action kinds as configuration and judgement see them: arguments,
// targets, risk. How each is carried out stands in the agent's act package.
package remedy

import (
	"sync"
	"time"
)

// Kind is the executor of a remedy.
type Kind string

// The kinds that exist today.
const (
	Start            Kind = "start"
	Restart          Kind = "restart"
	Reload           Kind = "reload"
	Stop             Kind = "stop"
	Kill             Kind = "kill"
	SetProperty      Kind = "set_property"
	Exec             Kind = "exec"
	ResetPool        Kind = "reset_pool"
	FreeSpace        Kind = "free_space"
	ClearCache       Kind = "clear_cache"
	Scale            Kind = "scale"
	ScaleGroup       Kind = "scale_group"
	Shed             Kind = "shed"
	Isolate          Kind = "isolate"
	Rollback         Kind = "rollback"
	RollbackFiles    Kind = "rollback_files"
	RollbackPackages Kind = "rollback_packages"
	Reboot           Kind = "reboot"
	Dump             Kind = "dump"
)

// Target is the list of an allow block that must name what a kind acts on.
type Target string

// Targets.
const (
	OnUnit    Target = "unit"    // allow { units = … }
	OnPool    Target = "pool"    // allow { pools = … }
	OnCache   Target = "cache"   // allow { caches = … }
	OnCircuit Target = "circuit" // allow { circuits = … }
	OnGroup   Target = "group"   // allow { groups = … }
	OnExec    Target = "exec"    // allow { exec = … }
	OnPath    Target = "path"    // allow { paths = … }
	OnPackage Target = "package" // allow { packages = … }
	OnHost    Target = "host"    // allow { host = true }; such a remedy takes the whole host, and needs a permit
)

// OfService reports whether a name of such a thing is its service's own, so that another service's of that name is another one.
func (t Target) OfService() bool {
	return t == OnPool || t == OnCache || t == OnCircuit || t == OnGroup
}

// Args are the decoded and checked arguments of one remedy, in the type of its kind: *UnitArgs, *KillArgs, …
type Args interface {
	// Names is what the arguments say that the remedy acts on, as an allow block has to list it; "" leaves it to the
	// alert: its unit.
	Names() string
}

// Choice is implemented by arguments that name several units, of which the host chooses when it acts.
type Choice interface {
	// Among are the units, or globs of them. Every one that is chosen must be allowed by itself.
	Among() []string
}

// Part is what a remedy changes beside its target, such as a unit. An allow block must permit that by itself.
type Part struct {
	Kind  Kind   // what it does to it
	Name  string // of the unit, or of whatever the kind acts on
	Spare bool   // it is left out, and the rest is done, while a package transaction may touch the unit
}

// recipe is implemented by arguments whose remedy has parts.
type recipe interface{ parts() []Part }

// Parts are what a remedy with these arguments may change beside its target.
func Parts(a Args) []Part {
	if r, ok := a.(recipe); ok {
		return r.parts()
	}
	return nil
}

// partsOf are parts that do the same to these units.
func partsOf(k Kind, units []string) []Part {
	var parts []Part
	for _, name := range units {
		parts = append(parts, Part{Kind: k, Name: name})
	}
	return parts
}

// risky is implemented by arguments that decide whether their remedy is disruptive.
type risky interface{ disruptive() bool }

// undoable is implemented by arguments that decide whether their remedy can be taken back.
type undoable interface{ undoable() bool }

// Limited is implemented by arguments of kinds whose attempts are always taken back after a time, so that a remedy may
// name a condition on which that happens earlier.
type Limited interface {
	// Lasts is that time, from the intent on.
	Lasts() time.Duration
}

// Type is the type of an argument in the configuration.
type Type string

// Types of arguments and the Go types that Values holds for them.
const (
	String   Type = "string"   // string
	Command  Type = "command"  // []string: a program with an absolute path and its arguments, which may hold facts
	Map      Type = "map"      // map[string]string
	Bool     Type = "bool"     // bool
	Duration Type = "duration" // time.Duration
	Strings  Type = "strings"  // []string
	Integer  Type = "integer"  // int
	Integers Type = "integers" // []int
	Share    Type = "share"    // float64, from 0 to 1
)

// Arg describes one argument for the loader, `salve remedies` and the docs.
type Arg struct {
	Name        string // HCL attribute
	Type        Type
	Required    bool
	Default     string // as people write it; "" means none
	Help        string
	Min, Max    time.Duration // bounds of a duration
	Least, Most int           // bounds of an integer, or of each in a list
	// Target is true of the argument that names what the remedy acts on.
	Target bool
}

// Spec describes a kind. It is all that the loader, `salve remedies`, the docs and judgement know of it.
type Spec struct {
	Kind       Kind
	Summary    string
	Target     Target
	Args       []Arg
	Disruptive bool     // may take away capacity that the host still serves; see Risk for the arguments' say
	Shared     bool     // acts on something that other hosts use too
	Undoable   bool     // can be taken back, given the arguments that this needs
	Gathers    bool     // only looks, and heals nothing: its attempt ends at once as ineffective, and the next remedy has its turn
	ByPerson   bool     // only a person runs it, by hand: a rule that tries it has it refused, with the command for that
	Verbs      []string // polkit verbs that the kind needs
	Needs      string   // what else must be so, for people: a right, a helper, a server
	Worst      string   // the worst that one run can do, and what holds it back
	Back       string   // how it is taken back, and by whom if the agent is dead then

	decode func(*reader) Args
}

// OnUnit reports whether remedies of the kind act on a unit.
func (k Kind) OnUnit() bool {
	s, ok := Lookup(string(k))
	return ok && s.Target == OnUnit
}

// OnHost reports whether remedies of the kind take the whole host: every service of it is away, and none runs without
// a permit.
func (k Kind) OnHost() bool {
	s, ok := Lookup(string(k))
	return ok && s.Target == OnHost
}

// ByPerson reports whether only a person runs remedies of the kind.
func (k Kind) ByPerson() bool {
	s, ok := Lookup(string(k))
	return ok && s.ByPerson
}

// Gathers reports whether remedies of the kind only look, and heal nothing.
func (k Kind) Gathers() bool {
	s, ok := Lookup(string(k))
	return ok && s.Gathers
}

// Specs lists every kind that exists, in the order in which people read them.
func Specs() []Spec {
	return []Spec{
		start(), restart(), reload(), stop(), kill(), setProperty(), execute(), resetPool(), freeSpace(), clearCache(), scale(),
		scaleGroup(), shed(), isolate(), rollback(), rollbackFiles(), rollbackPackages(), reboot(), dump(),
	}
}

// Lookup finds the kind by the name that configurations use.
func Lookup(name string) (Spec, bool) {
	s, ok := byName()[name]
	return s, ok
}

// byName are the Specs, made once: what a kind is gets asked about each attempt and candidate of a decision.
var byName = sync.OnceValue(func() map[string]Spec {
	all := map[string]Spec{}
	for _, s := range Specs() {
		all[string(s.Kind)] = s
	}
	return all
})

// Names lists the kinds that exist.
func Names() []string {
	var names []string
	for _, s := range Specs() {
		names = append(names, string(s.Kind))
	}
	return names
}

// Risk says what an attempt with these arguments may take away. Facts just before acting can only
// make it milder: starting or restarting a unit that has no main process takes nothing away.
func (s Spec) Risk(a Args) (disruptive, shared bool) {
	if r, ok := a.(risky); ok {
		return r.disruptive(), s.Shared
	}
	return s.Disruptive, s.Shared
}

// CanUndo reports whether an attempt with these arguments can be taken back.
func (s Spec) CanUndo(a Args) bool {
	if u, ok := a.(undoable); ok {
		return u.undoable()
	}
	return s.Undoable
}
