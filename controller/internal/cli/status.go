package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/proto/localpb"
)

func (a *app) status() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how the agent is and what it looks after",
		Long: `Say how the agent is and what it looks after.

Ends with 4 if something keeps the agent from its work.`,
		Args: atMost(0),
	}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.ask(c.Context(), quick, func(ctx context.Context, agent localpb.AgentClient) error {
			r, err := agent.Status(ctx, &localpb.StatusRequest{})
			if err != nil {
				return err
			}
			st := r.GetStatus()
			if err := out.show(c, st, func(w io.Writer) { writeStatus(w, st) }); err != nil {
				return err
			}
			if !st.GetHealthy() {
				return silently(exitFindings)
			}
			return nil
		})
	}
	return c
}

func writeStatus(w io.Writer, st *localpb.Status) {
	health := "healthy"
	if !st.GetHealthy() {
		health = "NOT HEALTHY"
	}
	fmt.Fprintf(w, "agent on %s is %s: %s, autonomy %s, up %s\n",
		st.GetHost(), health, st.GetVersion(), st.GetAutonomy(), span(st.GetUptime()))
	for _, p := range st.GetProblems() {
		fmt.Fprintln(w, "  problem: "+p)
	}
	cfg := st.GetConfiguration()
	if cfg.GetRefused() != "" {
		fmt.Fprintln(w, "  the last reload was refused, the old configuration holds: "+cfg.GetRefused())
	}
	fmt.Fprintf(w, "\nconfiguration  %s, loaded %s\n", story.Number(len(cfg.GetFiles()), "file"), moment(cfg.GetLoaded()))
	fmt.Fprintf(w, "rules          %d, evaluated in %s, at most %s\n",
		st.GetRules(), span(st.GetTickLast()), span(st.GetTickMax()))
	writeBundles(w, cfg.GetBundles())
	fmt.Fprintf(w, "remedies       %d of %d in the last hour\n", st.GetRemediesHour(), st.GetRemediesLimit())
	fmt.Fprintf(w, "alerts         %s\n", counts(st.GetAlerts()))
	fmt.Fprintf(w, "incidents      %s\n", counts(st.GetIncidents()))
	if len(cfg.GetWarnings()) > 0 {
		fmt.Fprintf(w, "warnings       %s\n", strings.Join(cfg.GetWarnings(), "\n               "))
	}
	writeLine(w, st.GetController())
	writeServices(w, st.GetServices())
	writePauses(w, st.GetPauses())
	writeSources(w, st.GetSources())
}

// writeBundles says which rules came from the controller.
func writeBundles(w io.Writer, bundles []*localpb.RuleBundle) {
	for _, b := range bundles {
		text := "nothing of it holds"
		if b.GetDigest() != "" {
			text = fmt.Sprintf("%s from the controller, digest %.12s", story.Number(int(b.GetRules()), "rule"), b.GetDigest())
		}
		if len(b.GetShadowed()) > 0 {
			text += "; the host's own hold for " + strings.Join(b.GetShadowed(), ", ")
		}
		if len(b.GetAbsent()) > 0 {
			text += "; no services here for " + strings.Join(b.GetAbsent(), ", ")
		}
		if b.GetProblem() != "" {
			text += "; NOT AS IT SHOULD BE: " + b.GetProblem()
		}
		fmt.Fprintf(w, "               %s: %s\n", b.GetName(), oneLine(text))
	}
}

// writeLine says how the agent's line to the controller is; nothing for an agent that works alone.
func writeLine(w io.Writer, l *localpb.ControllerLine) {
	if l == nil {
		return
	}
	state := fmt.Sprintf("connected to %s for %s", l.GetAddress(), span(l.GetSince()))
	if !l.GetConnected() {
		state = fmt.Sprintf("NOT CONNECTED for %s: %s", span(l.GetSince()), l.GetProblem())
	}
	fmt.Fprintf(w, "controller     %s\n", state)
	generation := "none known"
	if g := l.GetGeneration(); g != "" {
		generation = shortID(g)
	}
	fmt.Fprintf(w, "               generation %s, epoch %d, last round trip %s ago\n", generation, l.GetEpoch(), span(l.GetSilent()))
	fmt.Fprintf(w, "               %s to be told, %s held\n", story.Number(int(l.GetUnsent()), "event"),
		story.Number(int(l.GetPermits()), "permit"))
	if len(l.GetPauses()) == 0 {
		return
	}
	var lines [][]string
	for _, p := range l.GetPauses() {
		lines = append(lines, []string{p.GetId(), p.GetScope(), until(p), p.GetBy(), p.GetReason()})
	}
	fmt.Fprintln(w)
	rows(w, "PAUSE-OF-THE-CONTROLLER SCOPE UNTIL BY REASON", lines...)
}

// writeServices says, for an agent that was just installed, what comes next.
func writeServices(w io.Writer, services []*localpb.Service) {
	if len(services) == 0 {
		fmt.Fprint(w, "\nIt looks after nothing yet. Name units in an allow block of agent.hcl, then:\n"+
			"  systemctl reload salve-agent && salve agent doctor\n")
		return
	}
	var lines [][]string
	for _, s := range services {
		if len(s.GetUnits()) == 0 {
			lines = append(lines, []string{s.GetName(), s.GetUnit(), "no such unit", s.GetAutonomy(), "", s.GetHeld()})
		}
		for _, u := range s.GetUnits() {
			lines = append(lines, []string{
				s.GetName(), u.GetName(), unitState(u), s.GetAutonomy(), shortID(s.GetIncident()), s.GetHeld(),
			})
		}
	}
	fmt.Fprintln(w)
	rows(w, "SERVICE UNIT STATE AUTONOMY INCIDENT HELD", lines...)
}

func unitState(u *localpb.UnitState) string {
	if u.GetSub() == "" || u.GetSub() == u.GetState() {
		return u.GetState()
	}
	return u.GetState() + " (" + u.GetSub() + ")"
}

// writeSources names only what does not work: there are dozens, and they are well nearly always.
func writeSources(w io.Writer, sources []*localpb.Source) {
	var lines [][]string
	for _, s := range sources {
		if !s.GetOk() {
			last := "never"
			if s.GetAge() != nil {
				last = span(s.GetAge()) + " ago"
			}
			lines = append(lines, []string{s.GetName(), last, s.GetError()})
		}
	}
	if len(lines) == 0 {
		fmt.Fprintf(w, "\n%s of signals, all well\n", story.Number(len(sources), "source"))
		return
	}
	fmt.Fprintln(w)
	rows(w, "FAILING-SOURCE LAST-SUCCESS ERROR", lines...)
}
