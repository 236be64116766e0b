package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/pkg/config"
)

// verdict is what `salve validate` found, as JSON and YAML show it.
type verdict struct {
	Valid       bool         `json:"valid"`
	Diagnostics []diagnostic `json:"diagnostics"`
}

type diagnostic struct {
	Severity string `json:"severity"` // "error" or "warning"
	Summary  string `json:"summary"`
	Detail   string `json:"detail"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
}

func (a *app) validate() *cobra.Command {
	c := &cobra.Command{
		Use:   "validate PATH…",
		Short: "Check configuration, and say what is wrong where",
		Long: `Check configuration. A folder with an agent.hcl, a controller.hcl or both is a whole configuration, and so is
each of these files. Other files and folders are rules, checked as far as rules go without their agent.hcl.

Ends with 4 if there is an error; warnings alone end with 0.`,
		Example: `  salve validate /etc/salve
  salve validate --offline configs/ rules.d/checkout.hcl`,
		GroupID: groupConfig,
		Args:    atLeastOne("a file or folder"),
	}
	out := addOutput(c)
	offline := c.Flags().Bool("offline", false,
		"do not look at the programs and secret files that it names: for another host")
	c.RunE = func(c *cobra.Command, args []string) error {
		diags := config.Validate(config.LoadOptions{Getenv: a.Getenv, Offline: *offline}, args...)
		v := judge(diags)
		if *out != asTable {
			if err := out.show(c, v, nil); err != nil {
				return err
			}
		} else if err := a.writeDiagnostics(diags); err != nil {
			return err
		}
		if !v.Valid {
			return silently(exitFindings)
		}
		if *out == asTable && len(diags) == 0 {
			fmt.Fprintln(a.Out, "valid")
		}
		return nil
	}
	return c
}

func judge(diags hcl.Diagnostics) verdict {
	v := verdict{Valid: !diags.HasErrors(), Diagnostics: []diagnostic{}}
	for _, d := range diags {
		out := diagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			out.Severity = "warning"
		}
		if d.Subject != nil {
			out.File, out.Line, out.Column = d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column
		}
		v.Diagnostics = append(v.Diagnostics, out)
	}
	return v
}

// writeDiagnostics shows diagnostics with their lines of source, in color if a person looks.
func (a *app) writeDiagnostics(diags hcl.Diagnostics) error {
	if len(diags) == 0 {
		return nil
	}
	if err := config.Render(a.Err, diags, a.color(a.Err)); err != nil {
		return err
	}
	errs := 0
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			errs++
		}
	}
	_, err := fmt.Fprintf(a.Err, "\n%s, %s\n", story.Number(errs, "error"), story.Number(len(diags)-errs, "warning"))
	return err
}

// color reports whether w may be written to in color; see no-color.org.
func (a *app) color(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isTerminal(f) && a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb"
}

// atLeastOne wants one argument or more.
func atLeastOne(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return exactly(name)(c, args)
		}
		return nil
	}
}
