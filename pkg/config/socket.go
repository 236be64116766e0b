package config

import (
	"os"
	"path/filepath"

	"github.com/salveops/salve/pkg/defaults"
)

// SocketOf is the local API's socket of the agent that runs with this configuration file. A file that
// is too broken to say has the default, so that the running agent can be asked what it thinks of it.
func SocketOf(path string) string {
	if cfg, _ := LoadAgent(path, LoadOptions{Offline: true}); cfg != nil && cfg.Socket != "" {
		return cfg.Socket
	}
	return provided(os.Getenv("RUNTIME_DIRECTORY"), filepath.Base(defaults.Socket), defaults.Socket)
}
