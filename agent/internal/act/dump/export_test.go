package dump

import "github.com/salveops/salve/agent/internal/act/kind"

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
