package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/salveops/salve/proto/localpb"
)

// pauseFlags is what `salve agent pause` was told.
type pauseFlags struct {
	target  string
	length  time.Duration
	forever bool
	reason  string
	command []string
}

func (a *app) pause() *cobra.Command {
	var f pauseFlags
	c := &cobra.Command{
		Use:   "pause [UNIT|SERVICE|all [-- COMMAND…]]",
		Short: "Stop remedies for a while, or while a command runs",
		Long: `Stop remedies for a unit, a service, or all, and list the pauses if none is named.

A pause is written down by the agent and outlives its restart and a reboot. With a COMMAND the pause ends
with the command, however that ends, and salve passes its exit code on; --for is then only the net for
the case that salve itself is killed.`,
		Example: `  salve agent pause checkout.service --for 10m --reason "deploy 4711" -- ./deploy.sh
  salve agent pause checkout --for 1h --reason "database move"
  salve agent pause all --until-resumed --reason "I want to see it break"
  salve agent pause`,
	}
	out := addOutput(c)
	f.add(c, "no end; the agent reminds daily")
	c.Args = func(c *cobra.Command, args []string) error { return f.take(c, args) }
	c.RunE = func(c *cobra.Command, _ []string) error {
		if f.target == "" {
			return a.listPauses(c, *out)
		}
		if f.command != nil {
			return a.wrap(c, f)
		}
		return a.order(c.Context(), quick, func(ctx context.Context, agent localpb.AgentClient) error {
			p, err := a.startPause(ctx, agent, f)
			if err != nil {
				return err
			}
			return out.show(c, p, func(w io.Writer) { fmt.Fprintln(w, pauseText(p)) })
		})
	}
	return c
}

// add gives a command the flags.
func (f *pauseFlags) add(c *cobra.Command, forever string) {
	c.Flags().DurationVar(&f.length, "for", 0, "how long, such as 10m or 2h")
	c.Flags().BoolVar(&f.forever, "until-resumed", false, forever)
	c.Flags().StringVar(&f.reason, "reason", "", "why; shown wherever the pause is shown")
}

// take reads and checks the arguments: what is to be paused, and after "--" the command to wrap.
func (f *pauseFlags) take(c *cobra.Command, args []string) error {
	if dash := c.ArgsLenAtDash(); dash >= 0 {
		f.command = args[dash:]
		args = args[:dash]
		if len(f.command) == 0 {
			return usagef("there is no command after --")
		}
	}
	if err := atMost(1)(c, args); err != nil {
		return err
	}
	if len(args) == 0 && f.command == nil && f.length == 0 && !f.forever && f.reason == "" {
		return nil
	}
	f.target = strings.Join(args, "")
	switch {
	case f.target == "": // such as a variable of a script that is not set: to list and end with 0 would look like a pause
		return usagef("name what to pause: a unit, a service, or all")
	case f.length < 0:
		return usagef("--for must be more than nothing")
	case f.length == 0 && !f.forever:
		return usagef("say how long with --for, such as --for 10m, or that it has no end with --until-resumed")
	case f.length != 0 && f.forever:
		return usagef("--for and --until-resumed exclude each other")
	case f.reason == "" && f.command == nil:
		return usagef("say why with --reason: others will wonder")
	}
	return nil
}

func (a *app) startPause(ctx context.Context, agent localpb.AgentClient, f pauseFlags) (*localpb.Pause, error) {
	req := &localpb.PauseRequest{
		Target:       f.target,
		UntilResumed: f.forever,
		Reason:       f.reason,
		Operator:     a.operator(),
	}
	if !f.forever {
		req.For = durationpb.New(f.length)
	}
	r, err := agent.Pause(ctx, req)
	return r.GetPause(), err
}

func (a *app) listPauses(c *cobra.Command, out output) error {
	return a.ask(c.Context(), quick, func(ctx context.Context, agent localpb.AgentClient) error {
		r, err := agent.ListPauses(ctx, &localpb.ListPausesRequest{})
		if err != nil {
			return err
		}
		return out.show(c, r, func(w io.Writer) {
			if len(r.GetPauses()) == 0 {
				fmt.Fprintln(w, "nothing is paused")
				return
			}
			writePauses(w, r.GetPauses())
		})
	})
}

func writePauses(w io.Writer, pauses []*localpb.Pause) {
	if len(pauses) == 0 {
		return
	}
	var lines [][]string
	for _, p := range pauses {
		lines = append(lines, []string{p.GetId(), p.GetScope(), until(p), p.GetBy(), p.GetReason()})
	}
	fmt.Fprintln(w)
	rows(w, "PAUSE SCOPE UNTIL BY REASON", lines...)
}

func until(p *localpb.Pause) string {
	if p.GetUntil() == nil {
		return "resumed"
	}
	return moment(p.GetUntil())
}

func pauseText(p *localpb.Pause) string {
	return fmt.Sprintf("paused %s until %s (pause %s)", p.GetScope(), until(p), p.GetId())
}

func (a *app) resume() *cobra.Command {
	c := &cobra.Command{
		Use:   "resume UNIT|SERVICE|all|PAUSE",
		Short: "End pauses",
		Long: `End the pause of that ID, or all pauses of exactly that target. "all" ends the pauses of all; those
of single units and services stay.`,
		Args: exactly("a unit, a service, all, or the ID of a pause"),
	}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.order(c.Context(), quick, func(ctx context.Context, agent localpb.AgentClient) error {
			r, err := agent.Resume(ctx, &localpb.ResumeRequest{What: args[0], Operator: a.operator()})
			if err != nil {
				return err
			}
			return out.show(c, r, func(w io.Writer) {
				for _, p := range r.GetEnded() {
					fmt.Fprintf(w, "resumed %s (pause %s)\n", p.GetScope(), p.GetId())
				}
			})
		})
	}
	return c
}
