package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

func (a *app) fleetSilence() *cobra.Command {
	c := lists(group("silence", "List silences, add one, or end one",
		`List silences, add one, or end one. A silence holds messages back and never remedies; what is still open at
its end is sent then.`))
	a.listSilences(c)
	list := &cobra.Command{Use: "list", Short: "List silences", Args: atMost(0)}
	a.listSilences(list)
	c.AddCommand(list, a.silenceAdd(), a.silenceEnd())
	return c
}

func (a *app) listSilences(c *cobra.Command) {
	out := addOutput(c)
	a.addStale(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return read(a, c, out, func(ctx context.Context, admin client) (*adminpb.ListSilencesResponse, error) {
			return admin.ListSilences(ctx, &adminpb.ListSilencesRequest{Stale: a.stale})
		}, writeSilences)
	}
}

func writeSilences(w io.Writer, r *adminpb.ListSilencesResponse) {
	if len(r.GetSilences()) == 0 {
		fmt.Fprintln(w, "nothing is silenced")
		return
	}
	var lines [][]string
	for _, s := range r.GetSilences() {
		lines = append(lines, []string{s.GetId(), conditions(s.GetMatch()), instant(s.GetUntil()), s.GetBy(), s.GetReason()})
	}
	rows(w, "SILENCE MATCHES UNTIL BY REASON", lines...)
}

func conditions(match []*logpb.Label) string {
	parts := make([]string, len(match))
	for i, l := range match {
		parts[i] = l.GetName() + "=" + l.GetValue()
	}
	return strings.Join(parts, " ")
}

func (a *app) silenceAdd() *cobra.Command {
	c := &cobra.Command{
		Use:   "add NAME=VALUE… --for LENGTH --reason WHY",
		Short: "Hold messages back",
		Long: `Hold back the messages about incidents for which every NAME=VALUE holds. Names are service, host, rule,
severity, incident, and labels of the host; a value may be a glob.`,
		Example: `  salve silence add service=checkout severity=warning --for 2h --reason "known, ticket 4711"
  salve silence add 'host=web-*' --for 30m --reason "rack move"`,
		Args: atLeastOne("a condition, such as service=checkout"),
	}
	out := addOutput(c)
	length := c.Flags().Duration("for", 0, "how long, such as 30m or 2h")
	why := c.Flags().String("reason", "", "why; shown wherever the silence is shown")
	c.RunE = func(c *cobra.Command, args []string) error {
		req := &adminpb.SilenceRequest{By: a.by(), Reason: *why, For: length.Nanoseconds()}
		for _, arg := range args {
			name, value, ok := strings.Cut(arg, "=")
			if !ok || name == "" || value == "" {
				return usagef("%q is no condition: it looks like service=checkout", arg)
			}
			req.Match = append(req.Match, &logpb.Label{Name: name, Value: value})
		}
		if *length <= 0 {
			return usagef("say how long with --for, such as --for 2h")
		}
		if err := needReason(*why); err != nil {
			return err
		}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.SilenceResponse, error) {
			return admin.Silence(ctx, req)
		}, func(w io.Writer, r *adminpb.SilenceResponse) {
			fmt.Fprintf(w, "silenced %s for %s (%s)\n", conditions(req.GetMatch()), time.Duration(req.GetFor()), r.GetId())
		})
	}
	return c
}

func (a *app) silenceEnd() *cobra.Command {
	c := &cobra.Command{
		Use:   "end SILENCE",
		Short: "End a silence early",
		Args:  exactly("the ID of a silence"),
		ValidArgsFunction: a.completion(func(ctx context.Context, admin client) ([]string, error) {
			r, err := admin.ListSilences(ctx, &adminpb.ListSilencesRequest{Stale: true})
			var words []string
			for _, s := range r.GetSilences() {
				words = append(words, s.GetId()+"\t"+conditions(s.GetMatch()))
			}
			return words, err
		}),
	}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		req := &adminpb.EndSilenceRequest{Id: args[0], By: a.by()}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.EndSilenceResponse, error) {
			return admin.EndSilence(ctx, req)
		}, func(w io.Writer, _ *adminpb.EndSilenceResponse) { fmt.Fprintln(w, "ended "+args[0]) })
	}
	return c
}
