package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

func (a *app) fleetStatus() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how the controller and its fleet are",
		Long: `Say how the controller and its fleet are, and what a person should look at.

Ends with 4 if there is something to look at.`,
		Args: atMost(0),
	}
	out := addOutput(c)
	a.addStale(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		found := false
		err := read(a, c, out, func(ctx context.Context, admin client) (*adminpb.StatusResponse, error) {
			r, err := admin.Status(ctx, &adminpb.StatusRequest{Stale: a.stale})
			found = len(r.GetWarnings()) > 0
			return r, err
		}, writeFleetStatus)
		if err == nil && found {
			return silently(exitFindings)
		}
		return err
	}
	return c
}

func writeFleetStatus(w io.Writer, r *adminpb.StatusResponse) {
	leads := "nobody leads"
	if r.GetLeader() != "" {
		leads = fmt.Sprintf("node %s leads, term %d", r.GetLeader(), r.GetTerm())
	}
	fmt.Fprintf(w, "controller %s: %s\n", r.GetVersion(), leads)
	for _, s := range r.GetWarnings() {
		fmt.Fprintln(w, "  look at: "+oneLine(s))
	}
	at := r.GetAt()
	fmt.Fprintf(w, "\nanswered by    %s (%s), index %d\n", at.GetNode(), r.GetRole(), at.GetIndex())
	fmt.Fprintf(w, "generation     %s, format %d\n", shortID(at.GetGeneration()), r.GetFormat())
	refused := ""
	if r.GetConfigRefused() != "" {
		refused = ", and the file of " + at.GetNode() + " was refused"
	}
	fmt.Fprintf(w, "configuration  %s%s\n", orNone(shortID(r.GetConfigDigest())), refused)
	fmt.Fprintf(w, "hosts          %d, %d lost, %d quarantined, %d awaited\n",
		r.GetHosts(), r.GetLost(), r.GetQuarantined(), r.GetAwaited())
	fmt.Fprintf(w, "permits        %d open; at most %s acting at once\n",
		r.GetPermits(), story.Number(int(r.GetFleetMax()), "host"))
	fmt.Fprintf(w, "incidents      %d open, %d of them escalated\n", r.GetOpenIncidents(), r.GetEscalatedIncidents())
	fmt.Fprintf(w, "breakers       %d open\n", r.GetOpenBreakers())
	writeFleetPauses(w, r.GetPauses(), nil, namesOf(r.GetNames()))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// writeFleetPauses shows pauses; notReached, if it is known, says for each where it is not confirmed.
func writeFleetPauses(w io.Writer, pauses []*logpb.Pause, notReached [][]string, names hostNames) {
	if len(pauses) == 0 {
		return
	}
	header := "PAUSE SCOPE UNTIL BY REASON"
	if notReached != nil {
		header = "PAUSE SCOPE UNTIL BY NOT-REACHED REASON"
	}
	var lines [][]string
	for i, p := range pauses {
		cells := []string{p.GetId(), scopeText(p.GetScope(), names), fleetUntil(p), p.GetBy()}
		if notReached != nil {
			cells = append(cells, some(notReached[i]))
		}
		lines = append(lines, append(cells, p.GetReason()))
	}
	fmt.Fprintln(w)
	rows(w, header, lines...)
}
