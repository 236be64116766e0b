package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/proto/adminpb"
)

func (a *app) fleetHosts() *cobra.Command {
	c := lists(group("hosts", "List hosts, adopt or remove one",
		"List the hosts that the controller knows, adopt or remove one."))
	out := addOutput(c)
	a.addStale(c)
	removed := c.Flags().Bool("removed", false, "removed ones, too")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return read(a, c, out, func(ctx context.Context, admin client) (*adminpb.ListHostsResponse, error) {
			return admin.ListHosts(ctx, &adminpb.ListHostsRequest{Removed: *removed, Stale: a.stale})
		}, writeHosts)
	}
	c.AddCommand(a.hostsAdopt(), a.hostsRemove())
	return c
}

func writeHosts(w io.Writer, r *adminpb.ListHostsResponse) {
	if len(r.GetHosts()) == 0 {
		fmt.Fprintln(w, "no hosts")
		return
	}
	var lines [][]string
	for _, s := range r.GetHosts() {
		h := s.GetHost()
		heard := ""
		if s.GetHeard() >= 0 {
			heard = story.Length(time.Duration(s.GetHeard())) + " ago"
		}
		var services []string
		for _, hs := range h.GetServices() {
			services = append(services, hs.GetService()+servingMark(hs))
		}
		lines = append(lines, []string{
			h.GetName(), shortID(h.GetId()), hostState(s), heard, h.GetVersion(), strings.Join(services, ", "),
			h.GetQuarantined(),
		})
	}
	rows(w, "HOST ID STATE HEARD VERSION SERVICES NOTE", lines...)
}

// hostState is one word for how a host stands.
func hostState(s *adminpb.HostStatus) string {
	h := s.GetHost()
	switch {
	case h.GetRemoved():
		return "removed"
	case h.GetQuarantined() != "":
		return "quarantined"
	case h.GetLost():
		return "lost"
	case h.GetAwaited():
		return "awaited"
	case s.GetConnected():
		return "connected"
	}
	return "known"
}

func (a *app) hostsAdopt() *cobra.Command {
	c := &cobra.Command{
		Use:   "adopt HOST",
		Short: "Say which of two machines is the host",
		Long: `Say which of two machines is the host: the one that was turned away, after hardware was replaced or a disk moved,
or the one that has been it so far, after a copy was found. Unless both look the same, --fingerprint says which; without
it the command names both.`,
		Args:              exactly("the name or ID of a host"),
		ValidArgsFunction: a.completeHost(),
	}
	out := addOutput(c)
	print := c.Flags().String("fingerprint", "", "of the machine that is meant")
	c.RunE = func(c *cobra.Command, args []string) error {
		req := &adminpb.AdoptHostRequest{Host: args[0], By: a.by(), Fingerprint: *print}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.AdoptHostResponse, error) {
			return admin.AdoptHost(ctx, req)
		}, func(w io.Writer, _ *adminpb.AdoptHostResponse) { fmt.Fprintln(w, "adopted "+args[0]) })
	}
	return c
}

func (a *app) hostsRemove() *cobra.Command {
	c := &cobra.Command{
		Use:   "remove HOST --reason WHY",
		Short: "Strike a host off; its ID stays dead",
		Long: `Strike a host off. Its ID stays dead: the machine has to enrol anew.

A host that may still be acting is removed only with --gone, by which you say that the machine is off or clean:
its permits end on your word, and other hosts may then be repaired.`,
		Args:              exactly("the name or ID of a host"),
		ValidArgsFunction: a.completeHost(),
	}
	out := addOutput(c)
	gone := c.Flags().Bool("gone", false, "the machine is off, or nothing of Salve's runs on it")
	why := c.Flags().String("reason", "", "why; part of the audit")
	yes := addYes(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := needReason(*why); err != nil {
			return err
		}
		what := fmt.Sprintf("Host %s is struck off for good", args[0])
		if *gone {
			what += ", and you say that the machine is off or clean"
		}
		if err := a.confirm(*yes, "%s", what); err != nil {
			return err
		}
		req := &adminpb.RemoveHostRequest{Host: args[0], By: a.by(), Gone: *gone, Reason: *why}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.RemoveHostResponse, error) {
			return admin.RemoveHost(ctx, req)
		}, func(w io.Writer, _ *adminpb.RemoveHostResponse) { fmt.Fprintln(w, "removed "+args[0]) })
	}
	return c
}
