package rollback

// For tests that take a rollback as far as one of its steps.
var (
	Flip = flip
	Lay  = lay
)

// Exchange lets the link next take the place of base in the folder, by that call.
func Exchange(dir int, swap func(int, string, int, string, uint) error, from, to string) (bool, error) {
	return exchange{dir: dir, next: "next", base: "base", swap: swap}.run(from, to)
}

// Record is what is on disk of a rollback.
type Record = record

// Version is a release, and what the link says that leads to it.
type Version = version
