package systemd

import "time"

// Kind sorts events.
type Kind uint8

// Kinds of events.
const (
	Changed      Kind = iota + 1 // Unit is the new state of a watched unit
	Removed                      // Unit matched a glob and does not exist any more
	Connected                    // after the Changed of every watched unit: what is known is current again
	Disconnected                 // every unit is unknown until Connected
	System                       // the system state changed: see SystemState
	Reloaded                     // unit files were read again, and so was every watched unit
)

func (k Kind) String() string {
	switch k {
	case Changed:
		return "changed"
	case Removed:
		return "removed"
	case Connected:
		return "connected"
	case Disconnected:
		return "disconnected"
	case System:
		return "system"
	case Reloaded:
		return "reloaded"
	}
	return "none"
}

// Event is one thing that happened.
type Event struct {
	Kind Kind
	Unit Unit          // Changed and Removed
	Was  string        // Changed: ActiveState before; "" when the unit was not known
	At   time.Duration // CLOCK_BOOTTIME of its arrival
}
