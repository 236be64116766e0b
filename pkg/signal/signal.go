// Package signal is the catalogue of everything that Salve can observe: each signal's name,
// dimension, to what it belongs, and where it comes from. Rules are checked against it when loaded.
package signal

import "time"

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

// String is the dimension as error messages and listings name it.
func (d Dimension) String() string {
	switch d {
	case Number:
		return "number"
	case Ratio:
		return "ratio"
	case Seconds:
		return "seconds"
	case Bytes:
		return "bytes"
	case Count:
		return "count"
	case PerSecond:
		return "per second"
	case BytesPerSecond:
		return "bytes per second"
	case Bool:
		return "bool"
	case Text:
		return "text"
	}
	return "unknown dimension"
}

// PerSecond is the dimension of how fast a value grows; ok is false for what does not grow.
func (d Dimension) PerSecond() (growth Dimension, ok bool) {
	growth, ok = map[Dimension]Dimension{Count: PerSecond, Bytes: BytesPerSecond, Seconds: Ratio}[d]
	return growth, ok
}

// Scope says to what an instance of a signal belongs.
type Scope uint8

const (
	Host    Scope = iota // the machine
	Unit                 // one systemd unit
	Service              // a configured service: its probes, pools, metrics
)

// String is the scope's word in listings.
func (s Scope) String() string {
	switch s {
	case Unit:
		return "unit"
	case Service:
		return "service"
	}
	return "host"
}

// Info describes one signal.
type Info struct {
	// Name with "*" for the part that names an instance: "host.disk[*].used_ratio", "probe.*.ok".
	Name  string
	Dim   Dimension
	Scope Scope
	// Event is true when a change arrives by itself (D-Bus, kernel) and not by the next poll.
	// Rules over only such signals fire without a `for`. The value holds until the next event.
	Event bool
	// Counter is true when the value only grows, until whoever counts starts again from zero.
	// Rules look at its rate or change.
	Counter bool
	// Every is the default time between samples; 0 for events.
	Every time.Duration
	// Span is how long before its moment a sample speaks about: the window of a rate. 0: about its moment.
	Span time.Duration
	// Definition is another number for each figure that can have the name: what a block of the configuration makes it of.
	// 0 where the name alone says it.
	Definition uint64
	// Words are all values that a Text signal can take; empty for the other dimensions.
	Words  []string
	Help   string
	Source string
}
