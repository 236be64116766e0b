package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

func (a *app) fleetChange() *cobra.Command {
	c := lists(group("change", "Record what changed, or list it",
		"Record deployments, upgrades and edits that may explain an incident, or list them."))
	a.listChanges(c)
	list := &cobra.Command{Use: "list", Short: "List what changed, the newest first", Args: atMost(0)}
	a.listChanges(list)
	c.AddCommand(a.changeRecord(), list)
	return c
}

func (a *app) listChanges(c *cobra.Command) {
	out := addOutput(c)
	a.addStale(c)
	service := c.Flags().String("service", "", "only changes of this service")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return read(a, c, out, func(ctx context.Context, admin client) (*adminpb.ListChangesResponse, error) {
			return admin.ListChanges(ctx, &adminpb.ListChangesRequest{Service: *service, Stale: a.stale})
		}, writeChanges)
	}
}

func writeChanges(w io.Writer, r *adminpb.ListChangesResponse) {
	if len(r.GetChanges()) == 0 {
		fmt.Fprintln(w, "no changes")
		return
	}
	names := namesOf(r.GetNames())
	var lines [][]string
	for _, x := range r.GetChanges() {
		host := ""
		if x.GetHost() != "" {
			host = names.of(x.GetHost())
		}
		lines = append(lines, []string{instant(x.GetAt()), x.GetKind(), x.GetService(), host, x.GetBy(), x.GetText()})
	}
	rows(w, "AT KIND SERVICE HOST BY WHAT", lines...)
}

func (a *app) changeRecord() *cobra.Command {
	c := &cobra.Command{
		Use:     "record TEXT",
		Short:   "Record a change that may explain an incident",
		Example: `  salve change record --service checkout "release 4711"`,
		Args:    exactly("a text: what has changed"),
	}
	out := addOutput(c)
	x := &logpb.Change{}
	c.Flags().StringVar(&x.Service, "service", "", "the service that changed")
	c.Flags().StringVar(&x.Host, "host", "", "the host that changed; without one it is all of the service")
	c.Flags().StringVar(&x.Kind, "kind", "deployment", "deployment, package or configuration")
	// The flag was made one line before.
	_ = c.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(
		[]string{"deployment", "package", "configuration"}, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(c *cobra.Command, args []string) error {
		if x.GetService() == "" && x.GetHost() == "" {
			return usagef("say of what with --service, --host, or both")
		}
		x.Text, x.By = args[0], a.by()
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.RecordChangeResponse, error) {
			return admin.RecordChange(ctx, &adminpb.RecordChangeRequest{Change: x})
		}, func(w io.Writer, r *adminpb.RecordChangeResponse) { fmt.Fprintf(w, "recorded (%s)\n", r.GetId()) })
	}
	return c
}
