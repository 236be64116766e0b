// Package signal is the catalogue of everything that Salve can observe: each signal's name,
// dimension, to what it belongs, and where it comes from. Rules are checked against it when loaded.
package signal

// Dimension is the kind of quantity that a signal or expression has. Values are in base SI units.
type Dimension uint8

const (
	Number         Dimension = iota // a bare number in an expression, without a unit
	Ratio                           // 0 to 1
	Seconds                         // time
	Bytes                           // size
	Count                           // how many
	PerSecond                       // events a second
	BytesPerSecond                  // throughput
	Bool                            // true or false
	Text                            // a word, comparable with == and != only
)

// Scope says to what an instance of a signal belongs.
type Scope uint8

const (
	Host    Scope = iota // the machine
	Unit                 // one systemd unit
	Service              // a configured service: its probes, pools, metrics
)

// Info describes one signal.
type Info struct {
	// Name with "*" for the part that names an instance: "host.disk[*].used_ratio", "probe.*.ok".
	Name  string
	Dim   Dimension
	Scope Scope
	// Event is true when a change arrives by itself (D-Bus, kernel) and not by the next poll.
	// Rules over only such signals fire without a `for`.
	Event bool
	// Every is the default time between samples; 0 for events.
	Help   string
	Source string
}

// Path is a parsed signal name: host.disk["/var"].used_ratio has Family "host.disk", Key "/var",
// Field "used_ratio"; probe.health.ok has Family "probe", Key "health", Field "ok"; unit.cpu has
// Family "unit", no Key, Field "cpu". Key "*" stands for every instance.
type Path struct {
	Family string
	Key    string
	Field  string
}
