package rollback

// For tests that take a rollback as far as one of its steps.
var (
	Flip = flip
	Lay  = lay
)

// Record is what is on disk of a rollback.
type Record = record
