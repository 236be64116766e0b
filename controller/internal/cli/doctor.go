package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/proto/localpb"
)

func (a *app) doctor() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say for each remedy whether it would run, and what else is amiss",
		Long: `Examine the host and every configured remedy, and change nothing. For each remedy: "would run", or
"refused because …". Ends with 4 if something failed; warnings alone end with 0.`,
		Args: atMost(0),
	}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.ask(c.Context(), slow, func(ctx context.Context, agent localpb.AgentClient) error {
			r, err := agent.Doctor(ctx, &localpb.DoctorRequest{})
			if err != nil {
				return err
			}
			if err := out.show(c, r, func(w io.Writer) { writeFindings(w, r.GetFindings()) }); err != nil {
				return err
			}
			for _, f := range r.GetFindings() {
				if f.GetVerdict() == "failed" {
					return silently(exitFindings)
				}
			}
			return nil
		})
	}
	return c
}

func writeFindings(w io.Writer, findings []*localpb.Finding) {
	n := map[string]int{}
	for _, f := range findings {
		n[f.GetVerdict()]++
		fmt.Fprintf(w, "%-8s %s: %s\n", f.GetVerdict(), f.GetAbout(), f.GetText())
		if f.GetHint() != "" {
			fmt.Fprintf(w, "%-8s   to do: %s\n", "", f.GetHint())
		}
	}
	fmt.Fprintf(w, "\n%d ok, %s, %d failed\n", n["ok"], story.Number(n["warning"], "warning"), n["failed"])
}

func (a *app) reload() *cobra.Command {
	c := &cobra.Command{
		Use:   "reload",
		Short: "Read the configuration again",
		Long: `Read the configuration again. If any part of it is refused the old one stays, and the command says why and
ends with 5.`,
		Args: atMost(0),
	}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.order(c.Context(), slow, func(ctx context.Context, agent localpb.AgentClient) error {
			r, err := agent.Reload(ctx, &localpb.ReloadRequest{Operator: a.operator()})
			if err != nil {
				return err
			}
			return out.show(c, r, func(w io.Writer) {
				for _, warning := range r.GetWarnings() {
					fmt.Fprintln(w, "warning: "+warning)
				}
				fmt.Fprintf(w, "reloaded, digest %s\n", shortID(r.GetDigest()))
			})
		})
	}
	return c
}
