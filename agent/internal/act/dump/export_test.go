package dump

// For tests.
var (
	Readable = readable
	Spares   = spares
	Writable = writable
	Watchdog = watchdog
)
