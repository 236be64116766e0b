package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

func (a *app) fleetPermits() *cobra.Command {
	c := lists(group("permits", "List open permits, ask one to stop, or settle it by force",
		"List the permits that are not settled, ask one to stop, or settle it by force."))
	a.listPermits(c)
	list := &cobra.Command{Use: "list", Short: "List the permits that are not settled", Args: atMost(0)}
	a.listPermits(list)
	c.AddCommand(list, a.permitsRevoke(), a.permitsSettle())
	return c
}

func (a *app) listPermits(c *cobra.Command) {
	out := addOutput(c)
	a.addStale(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return read(a, c, out, func(ctx context.Context, admin client) (*adminpb.ListPermitsResponse, error) {
			return admin.ListPermits(ctx, &adminpb.ListPermitsRequest{Stale: a.stale})
		}, writePermits)
	}
}

func writePermits(w io.Writer, r *adminpb.ListPermitsResponse) {
	if len(r.GetPermits()) == 0 {
		fmt.Fprintln(w, "no permit is open")
		return
	}
	names := namesOf(r.GetNames())
	var lines [][]string
	for _, p := range r.GetPermits() {
		lines = append(lines, []string{
			story.Token(p.GetToken()), names.of(p.GetHost()), p.GetService(), p.GetRemedy(), p.GetUnit(), p.GetRule(),
			instant(p.GetGranted()), permitState(p), targets(p, names), shortID(p.GetIncident()), p.GetBy(),
		})
	}
	rows(w, "PERMIT HOST SERVICE REMEDY UNIT RULE GRANTED STATE TARGETS INCIDENT BY", lines...)
}

// permitState says what is special about an open permit.
func permitState(p *logpb.Permit) string {
	var s []string
	switch {
	case p.GetUnknown():
		s = append(s, "UNKNOWN")
	case p.GetOverdue():
		s = append(s, "OVERDUE")
	default:
		s = append(s, "open")
	}
	if p.GetUndo() {
		s = append(s, "undo")
	}
	if p.GetAsDown() {
		s = append(s, "as down")
	}
	if p.GetRevoked() != "" {
		s = append(s, p.GetRevoked()+" asked it to stop")
	}
	return strings.Join(s, ", ")
}

// targets are what a permit takes away beside the service on its own host.
func targets(p *logpb.Permit, names hostNames) string {
	var out []string
	for _, t := range p.GetTargets() {
		switch {
		case t.GetResource() != "":
			out = append(out, t.GetResource())
		case t.GetHost() != p.GetHost():
			out = append(out, t.GetService()+" on "+names.of(t.GetHost()))
		case t.GetService() != p.GetService():
			out = append(out, t.GetService())
		}
	}
	return some(out)
}

func (a *app) permitsRevoke() *cobra.Command {
	c := &cobra.Command{
		Use:   "revoke PERMIT --reason WHY",
		Short: "Ask what runs under a permit to stop at its next safe end",
		Long: `Ask what runs under a permit to stop at its next safe end. The permit goes on counting until its host has said
how it ended.`,
		Args:              exactly("a permit, such as 3@1f0c9a4b"),
		ValidArgsFunction: a.completePermit(),
	}
	out := addOutput(c)
	why := c.Flags().String("reason", "", "why; part of the story")
	c.RunE = func(c *cobra.Command, args []string) error {
		t, err := token(args[0])
		if err != nil {
			return err
		}
		if err := needReason(*why); err != nil {
			return err
		}
		req := &adminpb.RevokePermitRequest{Token: t, By: a.by(), Reason: *why}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.RevokePermitResponse, error) {
			return admin.RevokePermit(ctx, req)
		}, func(w io.Writer, _ *adminpb.RevokePermitResponse) {
			fmt.Fprintf(w, "asked permit %s to stop; it counts until its host has settled it\n", args[0])
		})
	}
	return c
}

func (a *app) permitsSettle() *cobra.Command {
	c := &cobra.Command{
		Use:   "settle PERMIT --force --reason WHY",
		Short: "End a permit on your word that nothing of it runs",
		Long: `End a permit on your word that nothing of it runs any more and that its host is as it should be. From then on
other hosts may be repaired: if you are wrong, more of a service than allowed may be out at once.

Look at the host first. A host that comes back settles its permits by itself.`,
		Args:              exactly("a permit, such as 3@1f0c9a4b"),
		ValidArgsFunction: a.completePermit(),
	}
	out := addOutput(c)
	force := c.Flags().Bool("force", false, "you have looked, and nothing of it runs")
	why := c.Flags().String("reason", "", "what you saw; part of the audit")
	yes := addYes(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		t, err := token(args[0])
		if err != nil {
			return err
		}
		if !*force {
			return usagef("a permit is settled by its host; say --force if you have looked and nothing of it runs")
		}
		if err := needReason(*why); err != nil {
			return err
		}
		if err := a.confirm(*yes, "Permit %s ends on your word that nothing of it runs", args[0]); err != nil {
			return err
		}
		req := &adminpb.SettlePermitRequest{Token: t, By: a.by(), Reason: *why, Force: true}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.SettlePermitResponse, error) {
			return admin.SettlePermit(ctx, req)
		}, func(w io.Writer, _ *adminpb.SettlePermitResponse) {
			fmt.Fprintf(w, "settled permit %s by force\n", args[0])
		})
	}
	return c
}
