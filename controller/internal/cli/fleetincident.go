package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

func (a *app) fleetIncidents() *cobra.Command {
	c := &cobra.Command{
		Use:   "incidents [ID]",
		Short: "List incidents that have not ended, or tell of one",
		Long: `List incidents that have not ended, the newest first, or tell the story of one, as "salve explain"
does.`,
		Args:              atMost(1),
		ValidArgsFunction: a.completeFleetIncident(),
	}
	out := addOutput(c)
	a.addStale(c)
	all := c.Flags().Bool("all", false, "ended ones, too")
	service := c.Flags().String("service", "", "only incidents of this service")
	most := c.Flags().Uint32("limit", 50, "at most so many")
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 1 {
			return a.tell(c, out, args[0], false)
		}
		req := &adminpb.ListIncidentsRequest{All: *all, Service: *service, Limit: *most, Stale: a.stale}
		return read(a, c, out, func(ctx context.Context, admin client) (*adminpb.ListIncidentsResponse, error) {
			return admin.ListIncidents(ctx, req)
		}, writeFleetIncidents)
	}
	return c
}

func writeFleetIncidents(w io.Writer, r *adminpb.ListIncidentsResponse) {
	if len(r.GetIncidents()) == 0 {
		fmt.Fprintln(w, "no incidents")
		return
	}
	var lines [][]string
	for _, i := range r.GetIncidents() {
		lasted := ""
		if i.GetEnded() > 0 {
			lasted = story.Length(time.Duration(i.GetEnded() - i.GetOpened()))
		}
		lines = append(lines, []string{
			shortID(i.GetId()), story.StateName(i.GetState()), i.GetSeverity(), i.GetService(), instant(i.GetOpened()),
			lasted, i.GetAckBy(), i.GetTitle(),
		})
	}
	rows(w, "INCIDENT STATE SEVERITY SERVICE OPENED LASTED HAS-IT TITLE", lines...)
}

func (a *app) fleetExplain() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain INCIDENT",
		Short: "Tell the whole story of an incident to someone who was asleep",
		Long: `Tell the whole story of an incident, from all hosts in the order in which it happened: alerts, decisions
with their reasons, permits, actions, verification, messages, how it ended, and what to do next.

The first four digits of the ID are enough; "last" is the newest incident.`,
		Args:              exactly("the ID of an incident, or last"),
		ValidArgsFunction: a.completeFleetIncident(),
	}
	out := addOutput(c)
	a.addStale(c)
	evidence := c.Flags().Bool("evidence", false, "unfold the collected evidence")
	c.RunE = func(c *cobra.Command, args []string) error { return a.tell(c, out, args[0], *evidence) }
	return c
}

// tell tells the story of an incident.
func (a *app) tell(c *cobra.Command, out *output, id string, evidence bool) error {
	return read(a, c, out, func(ctx context.Context, admin client) (*adminpb.GetIncidentResponse, error) {
		return admin.GetIncident(ctx, &adminpb.GetIncidentRequest{Id: id, Stale: a.stale})
	}, func(w io.Writer, r *adminpb.GetIncidentResponse) {
		tale := story.OfFleet(r)
		if evidence {
			a.unfold(c, &tale, r.GetIncident().GetEvidence())
		}
		story.Write(w, tale, story.Options{Evidence: evidence, Zone: time.Local})
	})
}

// unfold fetches the texts of the evidence. Each lies on the nodes that it was given to.
func (a *app) unfold(c *cobra.Command, tale *story.Tale, refs []*logpb.EvidenceRef) {
	nodes, err := a.nodes()
	if err != nil {
		return // it was read once before
	}
	for i, ref := range refs {
		missing := error(nil)
		for _, node := range nodes {
			tale.Evidence[i].Text, missing = a.fetch(c.Context(), node, ref)
			if missing == nil {
				break
			}
		}
		if missing != nil {
			tale.Evidence[i].Missing = status.Convert(missing).Message()
		}
	}
}

// fetch reads one piece of evidence from one node.
func (a *app) fetch(ctx context.Context, node string, ref *logpb.EvidenceRef) (string, error) {
	var b strings.Builder
	one := *a
	one.address = node
	err := one.controller(ctx, quick, true, func(ctx context.Context, admin client) error {
		b.Reset()
		stream, err := admin.GetEvidence(ctx, &adminpb.GetEvidenceRequest{Digest: ref.GetDigest()})
		for err == nil {
			var piece *adminpb.GetEvidenceResponse
			if piece, err = stream.Recv(); err == nil {
				b.Write(piece.GetChunk())
			}
			if b.Len() > maxStory {
				err = status.Error(codes.OutOfRange, "it is larger than can be shown")
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	})
	return b.String(), err
}

func (a *app) fleetAck() *cobra.Command {
	c := &cobra.Command{
		Use:   "ack INCIDENT",
		Short: "Say that you have an incident: no more climbing, no new remedies",
		Long: `Say that you have an incident. It climbs no further, and no new remedies are tried for it on any host, unless
--keep-healing lets them go on. "salve release" hands it back.`,
		Args:              exactly("the ID of an incident, or last"),
		ValidArgsFunction: a.completeFleetIncident(),
	}
	out := addOutput(c)
	keep := c.Flags().Bool("keep-healing", false, "let remedies go on")
	c.RunE = func(c *cobra.Command, args []string) error {
		req := &adminpb.AcknowledgeRequest{Id: args[0], By: a.by(), KeepHealing: *keep}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.AcknowledgeResponse, error) {
			return admin.Acknowledge(ctx, req)
		}, func(w io.Writer, r *adminpb.AcknowledgeResponse) {
			fmt.Fprintf(w, "%s has incident %s\n", r.GetIncident().GetAckBy(), titled(r.GetIncident()))
		})
	}
	return c
}

func (a *app) fleetRelease() *cobra.Command {
	c := &cobra.Command{
		Use:               "release INCIDENT",
		Short:             "Hand an acknowledged incident back",
		Args:              exactly("the ID of an incident, or last"),
		ValidArgsFunction: a.completeFleetIncident(),
	}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		req := &adminpb.ReleaseRequest{Id: args[0], By: a.by()}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.ReleaseResponse, error) {
			return admin.Release(ctx, req)
		}, func(w io.Writer, r *adminpb.ReleaseResponse) {
			fmt.Fprintf(w, "released incident %s\n", titled(r.GetIncident()))
		})
	}
	return c
}

func (a *app) fleetResolve() *cobra.Command {
	c := &cobra.Command{
		Use:   "resolve INCIDENT --reason WHY",
		Short: "End an incident on your word",
		Long: `End an incident on your word, whatever its alerts say. Those who were told of it are told that it is over.
An incident ends by itself once its alerts have cleared; this is for what will never clear.`,
		Args:              exactly("the ID of an incident, or last"),
		ValidArgsFunction: a.completeFleetIncident(),
	}
	out := addOutput(c)
	why := c.Flags().String("reason", "", "why it is over; part of the story")
	yes := addYes(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := needReason(*why); err != nil {
			return err
		}
		if err := a.confirm(*yes, "Incident %s ends, whatever its alerts say", args[0]); err != nil {
			return err
		}
		req := &adminpb.ResolveRequest{Id: args[0], By: a.by(), Reason: *why}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.ResolveResponse, error) {
			return admin.Resolve(ctx, req)
		}, func(w io.Writer, r *adminpb.ResolveResponse) {
			fmt.Fprintf(w, "resolved incident %s\n", titled(r.GetIncident()))
		})
	}
	return c
}

// needReason wants to know why: others will wonder.
func needReason(why string) error {
	if strings.TrimSpace(why) == "" {
		return usagef("say why with --reason: others will wonder")
	}
	return nil
}

func titled(i *logpb.Incident) string { return shortID(i.GetId()) + ": " + i.GetTitle() }
