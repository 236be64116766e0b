package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/pkg/version"
)

func (a *app) versionCommand() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Say which build this is", Args: atMost(0)}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		v := version.Get()
		return out.show(c, v, func(w io.Writer) { fmt.Fprintln(w, "salve "+v.String()) })
	}
	return c
}
