package dump

import (
	"testing"

	"github.com/salveops/salve/agent/internal/act/kind"
)

// For tests.
var (
	Readable = readable
	Spares   = spares
	Writable = writable
)

// Other lets the step be about an earlier process of that number.
func Other(s *kind.Step) {
	was := s.Before.(evidence)
	was.Started--
	s.Before = was
}

// Lacks lets this host lack the program of that way, until the test is over.
func Lacks(t *testing.T, how string) {
	has := tools[how]
	t.Cleanup(func() { tools[how] = has })
	lacks := has
	lacks.name += "-of-nobody"
	tools[how] = lacks
}
