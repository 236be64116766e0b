// Package remedy is the table of action kinds as configuration and judgement see them: arguments,
// targets, risk. How each is carried out stands in the agent's act package.
package remedy

import "time"

// Kind is the executor of a remedy.
type Kind string

// The kinds that exist today.
const (
	Start       Kind = "start"
	Restart     Kind = "restart"
	Reload      Kind = "reload"
	Stop        Kind = "stop"
	Kill        Kind = "kill"
	SetProperty Kind = "set_property"
	Exec        Kind = "exec"
	ResetPool   Kind = "reset_pool"
)

// Target is the list of an allow block that must name what a kind acts on.
type Target string

// Targets.
const (
	OnUnit Target = "unit" // allow { units = … }
	OnPool Target = "pool" // allow { pools = … }
	OnExec Target = "exec" // allow { exec = … }
)

// Args are the decoded arguments of a remedy; which fields count depends on the kind.
type Args struct {
	Unit       string            // start…set_property: unit to act on; "" means the alert's own unit
	Signal     string            // kill: signal name, default SIGKILL
	Whom       string            // kill: "main" (default) or "all"
	Properties map[string]string // set_property: systemd property → value, as in unit files
	Runtime    bool              // set_property: true (default) means lost at reboot
	For        time.Duration     // set_property: taken back after this time; 0 means kept until undone
	Command    []string          // exec: argv with an absolute path
	UndoExec   []string          // exec: argv that takes it back; nil means none
	Pool       string            // reset_pool: pool name of the service
	Mode       string            // reset_pool: "reconnect" (default)
}

// Type is the type of an argument in the configuration.
type Type string

// Types of arguments and the Go types that Values holds for them.
const (
	String   Type = "string"   // string
	Strings  Type = "strings"  // []string
	Map      Type = "map"      // map[string]string
	Bool     Type = "bool"     // bool
	Duration Type = "duration" // time.Duration
)

// Arg describes one argument for the loader, `salve remedies` and the docs.
type Arg struct {
	Name     string // HCL attribute
	Type     Type
	Required bool
	Default  string // as people write it; "" means none
	Help     string
	Min, Max time.Duration // bounds of a duration
}

// Spec describes a kind.
type Spec struct {
	Kind       Kind
	Summary    string
	Target     Target
	Args       []Arg
	Disruptive bool     // may take away capacity that the host still serves; see Risk for the arguments' say
	Shared     bool     // acts on something that other hosts use too
	Undoable   bool     // can be taken back, given the arguments that this needs
	Verbs      []string // polkit verbs that the kind needs
}

// OnUnit reports whether remedies of the kind act on a unit.
func (k Kind) OnUnit() bool {
	s, ok := Lookup(string(k))
	return ok && s.Target == OnUnit
}
