package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/proto/localpb"
)

func (a *app) run() *cobra.Command {
	c := &cobra.Command{
		Use:   "run REMEDY",
		Short: "Run a remedy now, through the same guards as a rule would",
		Long: `Run a remedy now and show what happens. It goes through the same guards as if a rule had asked: what the
allow blocks, a pause or a budget forbid stays forbidden. --dry-run goes as far as the intent and says
what would be done. A run that has begun goes on if this command is interrupted.

Ends with 0 if it was verified (or would run), with 5 if it was refused or did not help, and with 8 if its end was
not seen.`,
		Example: `  salve agent run restart-app --dry-run
  salve agent run checkout/restart-app
  salve agent run restart-worker --instance worker@2.service`,
		Args: exactly("the name of a remedy"),
	}
	out := addOutput(c)
	dry := c.Flags().Bool("dry-run", false, "say what would be done, and do nothing")
	instance := c.Flags().String("instance", "", "unit to act on, where the service has several")
	c.RunE = func(c *cobra.Command, args []string) error {
		req := &localpb.RunRequest{Remedy: args[0], Instance: *instance, DryRun: *dry, Operator: a.operator()}
		ask := a.order
		if *dry {
			ask = a.ask
		}
		return ask(c.Context(), 0, func(ctx context.Context, agent localpb.AgentClient) error {
			stream, err := agent.Run(ctx, req)
			if err != nil {
				return err
			}
			return followRun(c.OutOrStdout(), *out, stream.Recv)
		})
	}
	return c
}

// followRun shows each event and at last the result, which decides how the command ends.
func followRun(w io.Writer, out output, next func() (*localpb.RunResponse, error)) error {
	begun := "" // the incident that the run belongs to
	for {
		r, err := next()
		switch {
		case begun != "" && (cutOff(err) || errors.Is(err, io.EOF)):
			return &coded{code: exitUnknown, err: fmt.Errorf("no longer followed, and the run goes on; how it ends is told by: "+
				"salve agent explain %s", shortID(begun))}
		case errors.Is(err, io.EOF):
			return errors.New("the agent ended without a result")
		case err != nil:
			return err
		}
		begun = cmp.Or(r.GetEvent().GetIncident(), begun)
		res := r.GetResult()
		switch {
		case out != asTable:
			if err := out.line(w, r); err != nil {
				return err
			}
		case res != nil:
			fmt.Fprintln(w, story.Result(res))
		default:
			fmt.Fprintln(w, story.Line(r.GetEvent()))
		}
		if res != nil {
			return runEnd(res)
		}
	}
}

func runEnd(r *localpb.RunResult) error {
	switch r.GetVerdict() {
	case "verified", "would_run":
		return nil
	}
	return silently(exitRefused)
}

func (a *app) watch() *cobra.Command {
	c := &cobra.Command{
		Use:   "watch",
		Short: "Follow what happens, until interrupted",
		Args:  atMost(0),
	}
	out := addOutput(c)
	replay := c.Flags().Uint32("replay", 20, "show so many past events first")
	service := c.Flags().String("service", "", "only events of this service")
	c.RunE = func(c *cobra.Command, _ []string) error {
		w := c.OutOrStdout()
		return a.ask(c.Context(), 0, func(ctx context.Context, agent localpb.AgentClient) error {
			stream, err := agent.Watch(ctx, &localpb.WatchRequest{Replay: *replay, Service: *service})
			for err == nil {
				var r *localpb.WatchResponse
				if r, err = stream.Recv(); err != nil {
					break
				}
				if *out == asTable {
					_, err = fmt.Fprintln(w, story.Line(r.GetEvent()))
				} else {
					err = out.line(w, r.GetEvent())
				}
			}
			if ctx.Err() != nil { // the person has seen enough
				return nil
			}
			if errors.Is(err, io.EOF) {
				return &coded{code: exitUnreachable, err: errors.New("the agent stopped")}
			}
			return err
		})
	}
	return c
}
