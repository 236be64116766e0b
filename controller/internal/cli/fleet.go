package cli

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// defaultAddress is where a controller on this machine listens.
const defaultAddress = "127.0.0.1:7600"

// fleet are the commands that talk to the controller.
func (a *app) fleet() []*cobra.Command {
	commands := []*cobra.Command{
		a.fleetStatus(),
		a.fleetIncidents(),
		a.fleetWatch(),
		a.fleetExplain(),
		a.fleetAck(),
		a.fleetRelease(),
		a.fleetResolve(),
		a.fleetHosts(),
		a.fleetServices(),
		a.fleetPermits(),
		a.fleetBreaker(),
		a.fleetPause(),
		a.fleetResume(),
		a.fleetWindow(),
		a.fleetSilence(),
		a.fleetChange(),
		a.fleetRules(),
		a.fleetAudit(),
		a.fleetRaft(),
		a.fleetEnroll(),
		a.fleetToken(),
		a.login(),
		a.logout(),
		a.whoami(),
	}
	for _, c := range commands {
		c.GroupID = groupFleet
		c.PersistentFlags().StringVar(&a.address, "address", a.defaultAddress(),
			"nodes of the controller, with commas between; $SALVE_ADDRESS changes the default")
	}
	return commands
}

func (a *app) defaultAddress() string {
	if s := a.Getenv("SALVE_ADDRESS"); s != "" {
		return s
	}
	if s := a.loginAddress(); s != "" {
		return s
	}
	return defaultAddress
}

// addStale gives a command that reads the flag --stale.
func (a *app) addStale(c *cobra.Command) {
	c.Flags().BoolVar(&a.stale, "stale", false, "whatever the first node that is reached knows, even without a quorum")
}

// lists makes a command that lists by itself and has others below it. Its usage says both.
func lists(c *cobra.Command) *cobra.Command {
	c.SetUsageTemplate((&cobra.Command{}).UsageTemplate())
	return c
}

// by is who works here: whoever called sudo, or the user.
func (a *app) by() string {
	if s := a.Getenv("SUDO_USER"); s != "" {
		return s
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// instant is a time of the log in the zone of who reads it; "" if it never was.
func instant(ns int64) string {
	if ns == 0 {
		return ""
	}
	return time.Unix(0, ns).Local().Format("2006-01-02 15:04:05")
}

// hostNames find the names of hosts by their IDs.
type hostNames map[string]string

func namesOf(names []*adminpb.HostName) hostNames {
	out := hostNames{}
	for _, n := range names {
		out[n.GetId()] = n.GetName()
	}
	return out
}

func (h hostNames) of(id string) string {
	if n := h[id]; n != "" {
		return n
	}
	return shortID(id)
}

func (h hostNames) all(ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = h.of(id)
	}
	return out
}

// token reads a token as people write it: "3@1f0c9a4b".
func token(s string) (*logpb.Token, error) {
	var t logpb.Token
	if n, err := fmt.Sscanf(s, "%d@%s", &t.N, &t.Generation); err != nil || n != 2 || t.N == 0 {
		return nil, usagef("token %q is not valid: it looks like 3@1f0c9a4b; see salve permits", s)
	}
	return &t, nil
}

// completion offers words for the first argument to the shell. Without a controller there are none, and a
// completion has nobody to tell why.
func (a *app) completion(words func(context.Context, client) ([]string, error)) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var out []string
		if len(args) == 0 {
			_ = a.controller(c.Context(), reachWithin, true, func(ctx context.Context, admin client) (err error) {
				out, err = words(ctx, admin)
				return err
			})
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) completeFleetIncident() cobra.CompletionFunc {
	return a.completion(func(ctx context.Context, admin client) ([]string, error) {
		r, err := admin.ListIncidents(ctx, &adminpb.ListIncidentsRequest{All: true, Limit: 20, Stale: true})
		words := []string{"last"}
		for _, i := range r.GetIncidents() {
			words = append(words, shortID(i.GetId())+"\t"+story.StateName(i.GetState())+": "+i.GetTitle())
		}
		return words, err
	})
}

func (a *app) completeHost() cobra.CompletionFunc {
	return a.completion(func(ctx context.Context, admin client) ([]string, error) {
		r, err := admin.ListHosts(ctx, &adminpb.ListHostsRequest{Stale: true})
		var words []string
		for _, h := range r.GetHosts() {
			words = append(words, h.GetHost().GetName()+"\t"+hostState(h))
		}
		return words, err
	})
}

func (a *app) completePermit() cobra.CompletionFunc {
	return a.completion(func(ctx context.Context, admin client) ([]string, error) {
		r, err := admin.ListPermits(ctx, &adminpb.ListPermitsRequest{Stale: true})
		var words []string
		for _, p := range r.GetPermits() {
			words = append(words, story.Token(p.GetToken())+"\t"+p.GetRemedy()+" on "+namesOf(r.GetNames()).of(p.GetHost()))
		}
		return words, err
	})
}

func (a *app) completePeer() cobra.CompletionFunc {
	return a.completion(func(ctx context.Context, admin client) ([]string, error) {
		r, err := admin.ListPeers(ctx, &adminpb.ListPeersRequest{})
		var words []string
		for _, p := range r.GetPeers() {
			words = append(words, p.GetId()+"\t"+p.GetAddress())
		}
		return words, err
	})
}
