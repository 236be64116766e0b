package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/proto/localpb"
)

func (a *app) ack() *cobra.Command {
	c := &cobra.Command{
		Use:   "ack INCIDENT",
		Short: "Say that you have an incident: no more climbing, no new remedies",
		Long: `Say that you have an incident. It climbs no further, and no new remedies are tried for it, unless
--keep-healing lets them go on. "salve agent release" hands it back.`,
		Args:              exactly("the ID of an incident, or last"),
		ValidArgsFunction: a.completeIncident,
	}
	out := addOutput(c)
	keep := c.Flags().Bool("keep-healing", false, "let remedies go on")
	comment := c.Flags().String("comment", "", "a word to those who read the story later")
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.order(c.Context(), quick, func(ctx context.Context, agent localpb.AgentClient) error {
			r, err := agent.Acknowledge(ctx, &localpb.AcknowledgeRequest{
				Id: args[0], KeepHealing: *keep, Comment: *comment, Operator: a.operator(),
			})
			if err != nil {
				return err
			}
			i := r.GetIncident()
			return out.show(c, i, func(w io.Writer) {
				fmt.Fprintf(w, "%s has incident %s: %s\n", i.GetAckBy(), shortID(i.GetId()), i.GetTitle())
			})
		})
	}
	return c
}

func (a *app) release() *cobra.Command {
	c := &cobra.Command{
		Use:               "release INCIDENT",
		Short:             "Hand an acknowledged incident back to the agent",
		Args:              exactly("the ID of an incident, or last"),
		ValidArgsFunction: a.completeIncident,
	}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.order(c.Context(), quick, func(ctx context.Context, agent localpb.AgentClient) error {
			r, err := agent.Release(ctx, &localpb.ReleaseRequest{Id: args[0], Operator: a.operator()})
			if err != nil {
				return err
			}
			i := r.GetIncident()
			return out.show(c, i, func(w io.Writer) {
				fmt.Fprintf(w, "the agent has incident %s again: %s\n", shortID(i.GetId()), i.GetTitle())
			})
		})
	}
	return c
}

// completeIncident offers the IDs of recent incidents to the shell.
func (a *app) completeIncident(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	words := []string{"last"}
	// Without an agent there is nothing to offer, and a completion has nobody to tell.
	_ = a.ask(c.Context(), quick, func(ctx context.Context, agent localpb.AgentClient) error {
		r, err := agent.Incidents(ctx, &localpb.IncidentsRequest{Limit: 20})
		for _, i := range r.GetIncidents() {
			words = append(words, shortID(i.GetId())+"\t"+i.GetState()+": "+i.GetTitle())
		}
		return err
	})
	return words, cobra.ShellCompDirectiveNoFileComp
}
