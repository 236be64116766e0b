package config

import (
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/salveops/salve/pkg/defaults"
)

// SocketOf is the local API's socket of the agent that runs with this configuration file. Whatever else
// is wrong with the file, its `socket` counts if it can be read, so that the running agent can be
// asked what it thinks of the rest.
func SocketOf(path string) string {
	if socket := socketIn(path); socket != "" {
		return socket
	}
	return provided(os.Getenv("RUNTIME_DIRECTORY"), filepath.Base(defaults.Socket), defaults.Socket)
}

func socketIn(path string) string {
	file, _ := hclparse.NewParser().ParseHCLFile(path)
	if file == nil || file.Body == nil {
		return ""
	}
	content, _, _ := file.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "socket"}}})
	if content == nil || content.Attributes["socket"] == nil {
		return ""
	}
	var socket string
	if gohcl.DecodeExpression(content.Attributes["socket"].Expr, nil, &socket).HasErrors() {
		return ""
	}
	return socket
}
