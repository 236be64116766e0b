package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/proto/localpb"
)

func (a *app) explain() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain INCIDENT",
		Short: "Tell the whole story of an incident to someone who was asleep",
		Long: `Tell the whole story of an incident: what broke, what was done and why, how it ended, what to do next.
The first digits of the ID are enough; "last" is the newest incident.`,
		Args:              exactly("the ID of an incident, or last"),
		ValidArgsFunction: a.completeIncident,
	}
	out := addOutput(c)
	evidence := c.Flags().Bool("evidence", false, "unfold the collected evidence")
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.ask(c.Context(), quick, func(ctx context.Context, agent localpb.AgentClient) error {
			r, err := agent.Incident(ctx, &localpb.IncidentRequest{Id: args[0]})
			if err != nil {
				return err
			}
			i := r.GetIncident()
			return out.show(c, i, func(w io.Writer) {
				story.Write(w, story.OfAgent(i), story.Options{Evidence: *evidence, Zone: time.Local})
			})
		})
	}
	return c
}
