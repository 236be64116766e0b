package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// Lives of tokens.
const (
	enrollFor = time.Hour
	accessFor = 90 * 24 * time.Hour
)

func (a *app) fleetEnroll() *cobra.Command {
	c := group("enroll", "Let machines in, and shut somebody out",
		"Let machines in by tokens, and shut hosts, operators, nodes or single certificates out.")
	c.AddCommand(a.enrollToken(), a.enrollRevoke(), a.enrollRevoked())
	return c
}

func (a *app) enrollToken() *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Make a token that lets one machine in, once",
		Long: `Make a token that lets one machine in, once: "salve-agent enroll --token …" uses it up. It holds the fingerprint
of the controller's authority, so that the machine knows whom it talks to. It is shown now and never again.

With --host a host that is known already may enrol again, after its certificate has ended or was revoked.`,
		Example: "  salve enroll token --ttl 1h --labels role=web,rack=7\n  salve enroll token --host web-1",
		Args:    atMost(0),
	}
	out := addOutput(c)
	ttl := c.Flags().Duration("ttl", enrollFor, "how long it is good")
	labels := c.Flags().StringToString("labels", nil, "labels that the host will have, whatever it says of itself")
	host := c.Flags().String("host", "", "name or ID of a known host, which alone may use it")
	c.RunE = func(c *cobra.Command, _ []string) error {
		req := &adminpb.CreateTokenRequest{Use: "enroll", By: a.by(), For: ttl.Nanoseconds(), Host: *host}
		for name, value := range *labels {
			req.Labels = append(req.Labels, &logpb.Label{Name: name, Value: value})
		}
		slices.SortFunc(req.GetLabels(), func(x, y *logpb.Label) int { return strings.Compare(x.GetName(), y.GetName()) })
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.CreateTokenResponse, error) {
			return admin.CreateToken(ctx, req)
		}, func(w io.Writer, r *adminpb.CreateTokenResponse) { fmt.Fprintln(w, r.GetToken()) })
	}
	return c
}

func (a *app) enrollRevoke() *cobra.Command {
	c := &cobra.Command{
		Use:   "revoke WHO --reason WHY",
		Short: "Shut a host, an operator, a node or one certificate out",
		Long: `Shut somebody out. WHO is a host's name or ID, operator/NAME, controller/NODE, or the serial number of a
certificate. What is open is cut at once, and no node lets it in again. A host comes back by a token of
"salve enroll token --host"; what was given before stays void.`,
		Args:              exactly("whom: a host, operator/NAME, controller/NODE or a serial number"),
		ValidArgsFunction: a.completeHost(),
	}
	out := addOutput(c)
	why := c.Flags().String("reason", "", "why; part of the audit")
	yes := addYes(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := needReason(*why); err != nil {
			return err
		}
		if err := a.confirm(*yes, "%s is shut out", args[0]); err != nil {
			return err
		}
		req := &adminpb.RevokeIdentityRequest{What: args[0], By: a.by(), Reason: *why}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.RevokeIdentityResponse, error) {
			return admin.RevokeIdentity(ctx, req)
		}, func(w io.Writer, r *adminpb.RevokeIdentityResponse) { fmt.Fprintln(w, "shut out: "+r.GetWhat()) })
	}
	return c
}

func (a *app) enrollRevoked() *cobra.Command {
	c := &cobra.Command{Use: "revoked", Short: "List who is shut out", Args: atMost(0)}
	out := addOutput(c)
	a.addStale(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return read(a, c, out, func(ctx context.Context, admin client) (*adminpb.ListRevocationsResponse, error) {
			return admin.ListRevocations(ctx, &adminpb.ListRevocationsRequest{Stale: a.stale})
		}, func(w io.Writer, r *adminpb.ListRevocationsResponse) {
			if len(r.GetRevocations()) == 0 {
				fmt.Fprintln(w, "nobody is shut out")
				return
			}
			var lines [][]string
			for _, x := range r.GetRevocations() {
				lines = append(lines, []string{x.GetWhat(), instant(x.GetAt()), x.GetBy(), x.GetReason()})
			}
			rows(w, "WHO SINCE BY REASON", lines...)
		})
	}
	return c
}

func (a *app) fleetToken() *cobra.Command {
	c := lists(group("token", "List tokens, make one for an operator, or end one",
		"List tokens, make one that stands for an operator, or end one."))
	out := addOutput(c)
	a.addStale(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return read(a, c, out, func(ctx context.Context, admin client) (*adminpb.ListTokensResponse, error) {
			return admin.ListTokens(ctx, &adminpb.ListTokensRequest{Stale: a.stale})
		}, writeTokens)
	}
	c.AddCommand(a.tokenCreate(), a.tokenEnd())
	return c
}

func writeTokens(w io.Writer, r *adminpb.ListTokensResponse) {
	if len(r.GetTokens()) == 0 {
		fmt.Fprintln(w, "no tokens")
		return
	}
	var lines [][]string
	for _, t := range r.GetTokens() {
		what := "operator " + t.GetName() + ", " + t.GetRole()
		if t.GetUse() == logpb.TokenUse_TOKEN_USE_ENROLL {
			what = "one machine"
			if t.GetUsed() != 0 {
				what = "used by " + shortID(t.GetUsedBy())
			}
		}
		lines = append(lines, []string{t.GetId(), what, instant(t.GetUntil()), t.GetBy(), conditions(t.GetLabels())})
	}
	rows(w, "TOKEN FOR UNTIL BY LABELS", lines...)
}

func (a *app) tokenCreate() *cobra.Command {
	c := &cobra.Command{
		Use:   "create NAME --role ROLE",
		Short: "Make a token that stands for an operator",
		Long: `Make a token for a person or a program: "salve login --token-file" takes it, and so does HTTP, as
"Authorization: Bearer …". It is shown now and never again. Roles: viewer reads; operator pauses, acknowledges
and silences, too; approver decides about repairs; admin may do everything.`,
		Example: "  salve token create ann --role approver --ttl 720h > ann.token",
		Args:    exactly("the name of the operator"),
	}
	out := addOutput(c)
	role := c.Flags().String("role", "viewer", "viewer, operator, approver or admin")
	ttl := c.Flags().Duration("ttl", accessFor, "how long it is good")
	c.RunE = func(c *cobra.Command, args []string) error {
		req := &adminpb.CreateTokenRequest{Use: "access", By: a.by(), For: ttl.Nanoseconds(), Name: args[0], Role: *role}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.CreateTokenResponse, error) {
			return admin.CreateToken(ctx, req)
		}, func(w io.Writer, r *adminpb.CreateTokenResponse) { fmt.Fprintln(w, r.GetToken()) })
	}
	return c
}

func (a *app) tokenEnd() *cobra.Command {
	c := &cobra.Command{Use: "end TOKEN --reason WHY", Short: "End a token early", Args: exactly("the ID of a token")}
	out := addOutput(c)
	why := c.Flags().String("reason", "", "why; part of the audit")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := needReason(*why); err != nil {
			return err
		}
		req := &adminpb.EndTokenRequest{Id: args[0], By: a.by(), Reason: *why}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.EndTokenResponse, error) {
			return admin.EndToken(ctx, req)
		}, func(w io.Writer, _ *adminpb.EndTokenResponse) { fmt.Fprintln(w, "ended "+args[0]) })
	}
	return c
}
