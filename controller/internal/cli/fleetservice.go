package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// hostRules is how the command line writes the service of rules about hosts.
const hostRules = "-"

func (a *app) fleetServices() *cobra.Command {
	c := &cobra.Command{
		Use:   "services",
		Short: "List services with what may be repaired at once, and what is out",
		Long: `List services by the facts that permits are given by: on how many hosts each runs, how many of these may be
acting at once, which are, and which are out for any reason. "-" are rules about hosts.`,
		Args: atMost(0),
	}
	out := addOutput(c)
	a.addStale(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return read(a, c, out, func(ctx context.Context, admin client) (*adminpb.ListServicesResponse, error) {
			return admin.ListServices(ctx, &adminpb.ListServicesRequest{Stale: a.stale})
		}, writeFleetServices)
	}
	return c
}

func writeFleetServices(w io.Writer, r *adminpb.ListServicesResponse) {
	if len(r.GetServices()) == 0 {
		fmt.Fprintln(w, "no services")
		return
	}
	var lines [][]string
	for _, s := range r.GetServices() {
		lines = append(lines, []string{
			s.GetService(), fmt.Sprint(s.GetHosts()), fmt.Sprint(s.GetCap()), some(s.GetActing()), some(s.GetOut()),
			s.GetAutonomy(), fmt.Sprint(s.GetOpenIncidents()), serviceNote(s, namesOf(r.GetNames())),
		})
	}
	rows(w, "SERVICE HOSTS CAP ACTING OUT AUTONOMY INCIDENTS NOTE", lines...)
}

// serviceNote is what sets a service apart from one where all is well.
func serviceNote(s *adminpb.ServiceStatus, names hostNames) string {
	var notes []string
	for _, b := range s.GetBreakers() {
		if b.GetOpen() {
			notes = append(notes, "breaker of "+b.GetRule()+" is open")
		}
	}
	for _, x := range s.GetWidths() {
		if len(x.GetFailed()) > 1 {
			notes = append(notes, x.GetRemedy()+" halted: it failed on "+some(names.all(x.GetFailed())))
		}
	}
	if s.GetNotGuaranteed() != "" {
		notes = append(notes, "NOT GUARANTEED: "+s.GetNotGuaranteed())
	}
	return strings.Join(notes, "; ")
}

// some are the first of many names.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func servingMark(hs *logpb.HostService) string {
	switch hs.GetServing() {
	case logpb.Serving_SERVING_DOWN:
		return " (down)"
	case logpb.Serving_SERVING_HELD:
		return " (held)"
	}
	return ""
}

func (a *app) fleetBreaker() *cobra.Command {
	c := lists(group("breaker", "List breakers, close one, or let one host through",
		`List open breakers, close one, or let one host through.

A breaker opens when one rule fires on many hosts of a service at once: such a thing has a common cause that no
local remedy mends. It stops the remedies of that rule on every host until fewer have it, or a person closes it.`))
	out := addOutput(c)
	a.addStale(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return read(a, c, out, func(ctx context.Context, admin client) (*adminpb.ListServicesResponse, error) {
			return admin.ListServices(ctx, &adminpb.ListServicesRequest{Stale: a.stale})
		}, writeBreakers)
	}
	c.AddCommand(a.breakerClose(), a.breakerApprove())
	return c
}

func writeBreakers(w io.Writer, r *adminpb.ListServicesResponse) {
	names := namesOf(r.GetNames())
	var lines [][]string
	for _, s := range r.GetServices() {
		for _, b := range s.GetBreakers() {
			if b.GetOpen() {
				lines = append(lines, []string{
					b.GetService(), b.GetRule(), instant(b.GetOpened()), some(names.all(b.GetApproved())), shortID(b.GetIncident()),
				})
			}
		}
	}
	if len(lines) == 0 {
		fmt.Fprintln(w, "no breaker is open")
		return
	}
	rows(w, "SERVICE RULE OPENED APPROVED INCIDENT", lines...)
}

func (a *app) breakerClose() *cobra.Command {
	c := &cobra.Command{
		Use:   "close SERVICE RULE",
		Short: "Close a breaker: remedies go on, with one host first",
		Long: `Close a breaker. Nothing that was refused is replayed: each host decides anew, and one goes first.
SERVICE is "-" for rules about hosts.`,
		Args: exactly("a service", "a rule"),
	}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.closeBreaker(c, out, &adminpb.CloseBreakerRequest{Service: serviceArg(args[0]), Rule: args[1], By: a.by()},
			fmt.Sprintf("closed the breaker of %s for %s", args[1], args[0]))
	}
	return c
}

func (a *app) breakerApprove() *cobra.Command {
	c := &cobra.Command{
		Use:   "approve SERVICE RULE HOST",
		Short: "Let one host act once although the breaker is open",
		Long: `Let one host act once although the breaker is open, to see whether the remedy helps.
SERVICE is "-" for rules about hosts.`,
		Args: exactly("a service", "a rule", "a host"),
	}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.closeBreaker(c, out, &adminpb.CloseBreakerRequest{
			Service: serviceArg(args[0]), Rule: args[1], Host: args[2], By: a.by(),
		}, fmt.Sprintf("%s may act once for %s", args[2], args[1]))
	}
	return c
}

func (a *app) closeBreaker(c *cobra.Command, out *output, req *adminpb.CloseBreakerRequest, done string) error {
	return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.CloseBreakerResponse, error) {
		return admin.CloseBreaker(ctx, req)
	}, func(w io.Writer, _ *adminpb.CloseBreakerResponse) { fmt.Fprintln(w, done) })
}

func serviceArg(s string) string {
	if s == hostRules {
		return ""
	}
	return s
}
