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

func (a *app) fleetPause() *cobra.Command {
	var f pauseFlags
	c := &cobra.Command{
		Use:   "pause [SERVICE|HOST|UNIT|all]",
		Short: "Stop remedies in the fleet for a while",
		Long: `Stop remedies for a service, a host, a unit, or all, and list the pauses if none is named. Say service:NAME,
host:NAME or unit:NAME where a name could mean several. Services and units may be globs, such as "service:shop-*";
one rule of a service cannot be paused.

Once the pause is committed nothing new is permitted. What needs no permit may still begin on a host until that
host has confirmed the pause; the hosts that have not done so within --wait are listed. "salve agent pause" works
on each of them, also without a controller.`,
		Example: `  salve pause checkout --for 1h --reason "database move"
  salve pause host:web-1 --until-resumed --reason "new disk"
  salve pause`,
	}
	out := addOutput(c)
	a.addStale(c)
	f.add(c, "no end; there is a daily reminder")
	wait := c.Flags().Duration("wait", 2*time.Second, "how long to wait for the hosts to confirm")
	c.Args = func(c *cobra.Command, args []string) error {
		if c.ArgsLenAtDash() >= 0 {
			return usagef("salve pause wraps no command; salve agent pause does, on one host")
		}
		return f.take(c, args)
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if f.target == "" {
			return a.fleetPauses(c, out)
		}
		if *wait < 0 {
			return usagef("--wait must not be negative")
		}
		req := &adminpb.PauseRequest{
			Scope: f.target, By: a.by(), Reason: f.reason, For: f.length.Nanoseconds(), UntilResumed: f.forever,
			Wait: max(1, wait.Nanoseconds()),
		}
		return change(a, c, out, quick+*wait, func(ctx context.Context, admin client) (*adminpb.PauseResponse, error) {
			return admin.Pause(ctx, req)
		}, writePaused)
	}
	return c
}

func writePaused(w io.Writer, r *adminpb.PauseResponse) {
	p := r.GetPause()
	fmt.Fprintf(w, "paused %s until %s (%s)\n", scopeText(p.GetScope(), namesOf(r.GetNames())), fleetUntil(p), p.GetId())
	if n := len(r.GetNotReached()); n > 0 {
		fmt.Fprintf(w, "%s not confirmed it: there a step that needs no permit may still begin\n", have(n))
		for _, h := range r.GetNotReached() {
			fmt.Fprintln(w, "  "+oneLine(h))
		}
	}
}

func have(n int) string {
	if n == 1 {
		return "1 host has"
	}
	return fmt.Sprintf("%d hosts have", n)
}

func (a *app) fleetPauses(c *cobra.Command, out *output) error {
	return read(a, c, out, func(ctx context.Context, admin client) (*adminpb.ListPausesResponse, error) {
		return admin.ListPauses(ctx, &adminpb.ListPausesRequest{Stale: a.stale})
	}, func(w io.Writer, r *adminpb.ListPausesResponse) {
		if len(r.GetPauses()) == 0 {
			fmt.Fprintln(w, "nothing is paused")
			return
		}
		var pauses []*logpb.Pause
		notReached := [][]string{}
		for _, p := range r.GetPauses() {
			pauses = append(pauses, p.GetPause())
			notReached = append(notReached, p.GetNotReached())
		}
		writeFleetPauses(w, pauses, notReached, namesOf(r.GetNames()))
	})
}

// scopeText is a scope with the host's name.
func scopeText(scope string, names hostNames) string {
	if id, ok := strings.CutPrefix(scope, "host:"); ok {
		return "host:" + names.of(id)
	}
	return scope
}

func fleetUntil(p *logpb.Pause) string {
	switch {
	case p.GetResumed() != "":
		return p.GetResumed() + " ended this turn"
	case p.GetUntil() == 0:
		return "resumed"
	}
	return instant(p.GetUntil())
}

func (a *app) fleetResume() *cobra.Command {
	c := &cobra.Command{
		Use:   "resume SERVICE[/RULE]|HOST|UNIT|all|PAUSE",
		Short: "End pauses, and let a remedy go on that failed in a row",
		Long: `End the pause of that ID, or all pauses of exactly that target. "all" ends the pauses of all; those of single
services, hosts and units stay.

A remedy that failed on two hosts in a row runs nowhere until its service is resumed, or the remedy changes.
SERVICE/RULE lets only those of one rule go on and ends no pause; "-/RULE" is a rule about hosts.`,
		Example: `  salve resume checkout
  salve resume checkout/slow
  salve resume pause-7`,
		Args: exactly("a service, one rule of a service, a host, a unit, all, or the ID of a pause"),
		ValidArgsFunction: a.completion(func(ctx context.Context, admin client) ([]string, error) {
			r, err := admin.ListPauses(ctx, &adminpb.ListPausesRequest{Stale: true})
			var words []string
			for _, p := range r.GetPauses() {
				words = append(words, p.GetPause().GetId()+"\t"+scopeText(p.GetPause().GetScope(), namesOf(r.GetNames())))
			}
			return words, err
		}),
	}
	out := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		req := &adminpb.ResumeRequest{Pause: args[0], By: a.by()}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.ResumeResponse, error) {
			return admin.Resume(ctx, req)
		}, func(w io.Writer, r *adminpb.ResumeResponse) {
			for _, p := range r.GetEnded() {
				fmt.Fprintf(w, "resumed %s (%s)\n", scopeText(p.GetScope(), namesOf(r.GetNames())), p.GetId())
			}
			if len(r.GetEnded()) == 0 {
				fmt.Fprintf(w, "resumed what had failed in %s\n", args[0])
			}
		})
	}
	return c
}

func (a *app) fleetWindow() *cobra.Command {
	c := &cobra.Command{
		Use:   "window",
		Short: "List recurring windows, and when they open or close next",
		Args:  atMost(0),
	}
	out := addOutput(c)
	a.addStale(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return read(a, c, out, func(ctx context.Context, admin client) (*adminpb.ListWindowsResponse, error) {
			return admin.ListWindows(ctx, &adminpb.ListWindowsRequest{Stale: a.stale})
		}, writeWindows)
	}
	return c
}

func writeWindows(w io.Writer, r *adminpb.ListWindowsResponse) {
	if len(r.GetWindows()) == 0 {
		fmt.Fprintln(w, "no windows")
		return
	}
	var lines [][]string
	for _, s := range r.GetWindows() {
		state, next := "closed", "opens "
		if s.GetOpen() {
			state, next = "OPEN", "closes "
		}
		if next += instant(s.GetNext()); s.GetNext() == 0 {
			next = ""
		}
		x := s.GetWindow()
		lines = append(lines, []string{
			x.GetName(), state, next, days(x.GetDays()), x.GetFrom() + "-" + x.GetTo(), orUTC(x.GetZone()),
			orAll(strings.Join(x.GetServices(), ", ")), x.GetReason(),
		})
	}
	rows(w, "WINDOW STATE NEXT DAYS HOURS ZONE SERVICES REASON", lines...)
}

func days(ds []uint32) string {
	var out []string
	for _, d := range ds {
		out = append(out, strings.ToLower(time.Weekday(d).String()[:3]))
	}
	return orAll(strings.Join(out, ","))
}

func orAll(s string) string {
	if s == "" {
		return "all"
	}
	return s
}

func orUTC(s string) string {
	if s == "" {
		return "UTC"
	}
	return s
}
