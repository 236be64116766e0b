package journal

import "errors"

// Errors that callers tell apart.
var (
	// ErrLocked: another agent uses the state folder; the message says which, if that can be known.
	ErrLocked = errors.New("state folder is in use")
	// ErrNewer: a newer Salve wrote the journal. Nothing was touched; run that version, or move the file away.
	ErrNewer = errors.New("journal was written by a newer version of salve")
	// ErrNotFound: no such record.
	ErrNotFound = errors.New("not found")
	// ErrFull: too much waits to be written, because the disk takes nothing.
	ErrFull = errors.New("journal queue is full")
	// ErrTooLarge: one record beyond Limits.Record.
	ErrTooLarge = errors.New("record is too large")
	// ErrClosed: the journal was closed.
	ErrClosed = errors.New("journal is closed")

	// errFault: the file could not be used although it was sound when it was opened.
	errFault = errors.New("journal file is damaged")
)
