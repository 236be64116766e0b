package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/proto/localpb"
)

func (a *app) signals() *cobra.Command {
	c := &cobra.Command{
		Use:   "signals [GLOB]",
		Short: "List what is observed, with value and age",
		Example: `  salve agent signals 'host.*'
  salve agent signals 'unit.memory_bytes'
  salve agent signals '*{checkout*}'`,
		Args: atMost(1),
	}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.ask(c.Context(), quick, func(ctx context.Context, agent localpb.AgentClient) error {
			r, err := agent.Signals(ctx, &localpb.SignalsRequest{Match: strings.Join(args, "")})
			if err != nil {
				return err
			}
			return out.show(c, r, func(w io.Writer) {
				var lines [][]string
				for _, s := range r.GetSignals() {
					lines = append(lines, []string{
						s.GetName(), s.GetOf(), s.GetText(), s.GetUsual().GetText(), age(s), s.GetDimension(), s.GetSource(),
					})
				}
				rows(w, "SIGNAL OF VALUE USUAL AGE DIMENSION SOURCE", lines...)
			})
		})
	}
	return c
}

// age is how old a signal is; "never" if nothing was ever known.
func age(s *localpb.Signal) string {
	if s.GetAge() == nil {
		return "never"
	}
	return span(s.GetAge())
}

func (a *app) alerts() *cobra.Command {
	c := &cobra.Command{
		Use:   "alerts",
		Short: "List alerts that are pending, firing or clearing",
		Args:  atMost(0),
	}
	out := addOutput(c)
	service := c.Flags().String("service", "", "only alerts of this service")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.ask(c.Context(), quick, func(ctx context.Context, agent localpb.AgentClient) error {
			r, err := agent.Alerts(ctx, &localpb.AlertsRequest{Service: *service})
			if err != nil {
				return err
			}
			return out.show(c, r, func(w io.Writer) { writeAlerts(w, r.GetAlerts()) })
		})
	}
	return c
}

func writeAlerts(w io.Writer, alerts []*localpb.Alert) {
	if len(alerts) == 0 {
		fmt.Fprintln(w, "no alerts")
		return
	}
	var lines [][]string
	for _, al := range alerts {
		lines = append(lines, []string{
			al.GetState(), al.GetSeverity(), al.GetService(), al.GetRule(), al.GetInstance(),
			moment(al.GetSince()), values(al.GetValues()), marks(al), shortID(al.GetIncident()),
		})
	}
	rows(w, "STATE SEVERITY SERVICE RULE INSTANCE SINCE VALUES NOTE INCIDENT", lines...)
}

func values(vs []*localpb.Value) string {
	parts := make([]string, len(vs))
	for i, v := range vs {
		parts[i] = v.GetSignal() + " = " + v.GetText()
	}
	return strings.Join(parts, ", ")
}

// marks is what sets an alert apart from an ordinary one.
func marks(al *localpb.Alert) string {
	var m []string
	if al.GetFlapping() {
		m = append(m, "flapping")
	}
	if al.GetBlind() {
		m = append(m, "blind")
	}
	if al.GetMuted() != "" {
		m = append(m, "muted by "+al.GetMuted())
	}
	return strings.Join(m, ", ")
}

func (a *app) incidents() *cobra.Command {
	c := &cobra.Command{
		Use:   "incidents",
		Short: "List incidents, the newest first",
		Args:  atMost(0),
	}
	out := addOutput(c)
	service := c.Flags().String("service", "", "only incidents of this service")
	open := c.Flags().Bool("open", false, "only incidents that have not ended")
	limit := c.Flags().Uint32("limit", 20, "at most so many")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.ask(c.Context(), quick, func(ctx context.Context, agent localpb.AgentClient) error {
			r, err := agent.Incidents(ctx, &localpb.IncidentsRequest{Service: *service, Open: *open, Limit: *limit})
			if err != nil {
				return err
			}
			return out.show(c, r, func(w io.Writer) { writeIncidents(w, r.GetIncidents()) })
		})
	}
	return c
}

func writeIncidents(w io.Writer, incidents []*localpb.IncidentSummary) {
	if len(incidents) == 0 {
		fmt.Fprintln(w, "no incidents")
		return
	}
	var lines [][]string
	for _, i := range incidents {
		lines = append(lines, []string{
			shortID(i.GetId()), i.GetState(), i.GetSeverity(), i.GetService(), moment(i.GetOpened()), span(i.GetTotal()),
			fmt.Sprint(i.GetAttempts()), i.GetAckBy(), i.GetTitle(),
		})
	}
	rows(w, "INCIDENT STATE SEVERITY SERVICE OPENED LASTED ATTEMPTS HAS-IT TITLE", lines...)
}
