package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/pkg/signal"
	"github.com/salveops/salve/proto/localpb"
)

func (a *app) change() *cobra.Command {
	c := lists(group("changes", "List what changed on this host, or record it",
		"List what changed on this host, as far as it is known, the newest first: what people and tools recorded here or at the\n"+
			"controller, and what the agent noticed by itself. Rules ask for it with recent_change()."))
	c.Aliases = []string{"change"}
	a.listLocalChanges(c)
	list := &cobra.Command{Use: "list", Short: "List what changed on this host, the newest first", Args: atMost(0)}
	a.listLocalChanges(list)
	c.AddCommand(a.recordLocalChange(), list)
	return c
}

func (a *app) listLocalChanges(c *cobra.Command) {
	out := addOutput(c)
	service := c.Flags().String("service", "", "only changes of this service and of the host")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.ask(c.Context(), quick, func(ctx context.Context, agent localpb.AgentClient) error {
			r, err := agent.Changes(ctx, &localpb.ChangesRequest{Service: *service})
			if err != nil {
				return err
			}
			return out.show(c, r, func(w io.Writer) { writeLocalChanges(w, r.GetChanges()) })
		})
	}
}

func writeLocalChanges(w io.Writer, changes []*localpb.Change) {
	if len(changes) == 0 {
		fmt.Fprintln(w, "no changes")
		return
	}
	var lines [][]string
	for _, x := range changes {
		lines = append(lines, []string{moment(x.GetAt()), x.GetKind(), x.GetService(), x.GetBy(), x.GetText()})
	}
	rows(w, "AT KIND SERVICE BY WHAT", lines...)
}

func (a *app) recordLocalChange() *cobra.Command {
	kinds := signal.ChangeKinds()
	c := &cobra.Command{
		Use:     "record TEXT",
		Short:   "Record a change that may explain an incident",
		Example: `  salve agent change record --service checkout "release 4711"`,
		Args:    exactly("a text: what has changed"),
	}
	out := addOutput(c)
	r := &localpb.RecordChangeRequest{}
	c.Flags().StringVar(&r.Service, "service", "", "the service that changed; without one it is the host")
	c.Flags().StringVar(&r.Kind, "kind", "deployment", strings.Join(kinds, ", "))
	// The flag was made one line before.
	_ = c.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(kinds, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(c *cobra.Command, args []string) error {
		r.Text, r.Operator = args[0], a.operator()
		return a.order(c.Context(), quick, func(ctx context.Context, agent localpb.AgentClient) error {
			answer, err := agent.RecordChange(ctx, r)
			if err != nil {
				return err
			}
			return out.show(c, answer, func(w io.Writer) { fmt.Fprintf(w, "recorded (%s)\n", answer.GetChange().GetId()) })
		})
	}
	return c
}
