package pool

import "github.com/salveops/salve/agent/internal/act/kind"

// Born changes when a session began that the step is to end, as if another had its process ID.
func Born(s *kind.Step, i int, began string) { s.Before.(doomed).Sessions[i].Began = began }
