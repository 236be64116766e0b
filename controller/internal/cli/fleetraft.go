package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/proto/adminpb"
)

func (a *app) fleetRaft() *cobra.Command {
	c := group("raft", "Look after the nodes of the controller",
		"Look after the nodes of the controller: who takes part, who leads, backups.")
	c.AddCommand(a.raftPeers(), a.raftAdd(), a.raftRemove(), a.raftTransfer(), a.raftSnapshot(), a.raftRestore())
	return c
}

func (a *app) raftPeers() *cobra.Command {
	c := &cobra.Command{Use: "peers", Short: "List the nodes", Args: atMost(0)}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return read(a, c, out, func(ctx context.Context, admin client) (*adminpb.ListPeersResponse, error) {
			return admin.ListPeers(ctx, &adminpb.ListPeersRequest{})
		}, writePeers)
	}
	return c
}

func writePeers(w io.Writer, r *adminpb.ListPeersResponse) {
	var lines [][]string
	for _, p := range r.GetPeers() {
		role, heard := "follower", "never"
		switch {
		case p.GetLeader():
			role, heard = "leader", ""
		case !p.GetVoter():
			role = "no vote"
		}
		if p.GetHeard() >= 0 && !p.GetLeader() {
			heard = story.Length(time.Duration(p.GetHeard())) + " ago"
		}
		lines = append(lines, []string{p.GetId(), p.GetAddress(), role, heard})
	}
	rows(w, "NODE ADDRESS ROLE HEARD", lines...)
}

func (a *app) raftAdd() *cobra.Command {
	c := &cobra.Command{
		Use:   "add NODE ADDRESS",
		Short: "Let a node take part",
		Long: `Let a node take part: its ID, and the address where its Raft listens. A node that lost its data must not come
back under its old ID: remove it, and add it under a new one.`,
		Args: exactly("the ID of a node", "its address"),
	}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		req := &adminpb.AddPeerRequest{Id: args[0], Address: args[1], By: a.by()}
		return change(a, c, out, slow, func(ctx context.Context, admin client) (*adminpb.AddPeerResponse, error) {
			return admin.AddPeer(ctx, req)
		}, func(w io.Writer, _ *adminpb.AddPeerResponse) { fmt.Fprintf(w, "added %s at %s\n", args[0], args[1]) })
	}
	return c
}

func (a *app) raftRemove() *cobra.Command {
	c := &cobra.Command{
		Use:   "remove NODE",
		Short: "Let a node take part no longer",
		Long: `Let a node take part no longer. It is refused where the nodes that would be left, and that answer, are no
quorum.`,
		Args:              exactly("the ID of a node"),
		ValidArgsFunction: a.completePeer(),
	}
	out := addOutput(c)
	yes := addYes(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := a.confirm(*yes, "Node %s takes part no longer", args[0]); err != nil {
			return err
		}
		req := &adminpb.RemovePeerRequest{Id: args[0], By: a.by()}
		return change(a, c, out, slow, func(ctx context.Context, admin client) (*adminpb.RemovePeerResponse, error) {
			return admin.RemovePeer(ctx, req)
		}, func(w io.Writer, _ *adminpb.RemovePeerResponse) { fmt.Fprintln(w, "removed "+args[0]) })
	}
	return c
}

func (a *app) raftTransfer() *cobra.Command {
	c := &cobra.Command{
		Use:               "transfer [NODE]",
		Short:             "Hand the leadership to a node, or to the most up to date",
		Args:              atMost(1),
		ValidArgsFunction: a.completePeer(),
	}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		req := &adminpb.TransferLeadershipRequest{By: a.by()}
		if len(args) == 1 {
			req.To = args[0]
		}
		return a.controller(c.Context(), quick, false, func(ctx context.Context, admin client) error {
			r, err := admin.TransferLeadership(ctx, req)
			if err != nil {
				return err
			}
			return out.show(c, r, func(w io.Writer) { fmt.Fprintln(w, r.GetLeader()+" leads") })
		})
	}
	return c
}
