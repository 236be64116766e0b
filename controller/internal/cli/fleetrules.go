package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

func (a *app) fleetRules() *cobra.Command {
	c := lists(group("rules", "Deliver rules to hosts, and see where they run",
		`Deliver bundles of rules to hosts by way of the controller, and see where they run. A version goes to a share of the
hosts first, its canaries, and to all once it ran there for the bake time without a false alarm. Hosts keep what they
have; their own files win, and nothing that a bundle says goes beyond a host's own remedies and allow blocks.`))
	a.rulesStatusOf(c)
	status := &cobra.Command{
		Use:   "status [BUNDLE]",
		Short: "Say which version of each bundle runs where",
		Long: `Say which version of each bundle runs where, and how far the newest one came. Hosts that run what they are told are
listed if a bundle is named.`,
		Args:              atMost(1),
		ValidArgsFunction: a.completeBundle(),
	}
	a.rulesStatusOf(status)
	c.AddCommand(status, a.rulesDiff(), a.rulesPush(), a.rulesRollback())
	return c
}

func (a *app) completeBundle() cobra.CompletionFunc {
	return a.completion(func(ctx context.Context, admin client) ([]string, error) {
		r, err := admin.ListBundles(ctx, &adminpb.ListBundlesRequest{Stale: true})
		var words []string
		for _, b := range r.GetBundles() {
			words = append(words, b.GetBundle().GetName())
		}
		return words, err
	})
}

func (a *app) rulesStatusOf(c *cobra.Command) {
	out := addOutput(c)
	a.addStale(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		name := strings.Join(args, "")
		return read(a, c, out, func(ctx context.Context, admin client) (*adminpb.ListBundlesResponse, error) {
			return admin.ListBundles(ctx, &adminpb.ListBundlesRequest{Name: name, Stale: a.stale})
		}, func(w io.Writer, r *adminpb.ListBundlesResponse) { writeRules(w, r, name != "") })
	}
}

func writeRules(w io.Writer, r *adminpb.ListBundlesResponse, all bool) {
	if len(r.GetBundles()) == 0 {
		fmt.Fprintln(w, "no bundles of rules")
		return
	}
	names := namesOf(r.GetNames())
	var lines, hosts [][]string
	for _, s := range r.GetBundles() {
		b := s.GetBundle()
		v := versionOf(b, b.GetRollout().GetVersion())
		count := map[string]int{}
		for _, h := range s.GetHosts() {
			count[h.GetState()]++
			if all || h.GetState() != "runs" || h.GetCanary() {
				hosts = append(hosts, []string{b.GetName(), names.of(h.GetHost()), fmt.Sprint(h.GetVersion()), hostRole(h), bundleState(h)})
			}
		}
		lines = append(lines, []string{
			b.GetName(), fmt.Sprint(v.GetN()), fmt.Sprintf("%.6x", v.GetDigest()), phase(b), instant(b.GetRollout().GetSince()),
			v.GetBy(), bundleLabels(v), fmt.Sprintf("%d/%d", count["runs"], len(s.GetHosts())),
		})
	}
	rows(w, "BUNDLE VERSION DIGEST PHASE SINCE BY HOSTS RUN", lines...)
	for _, s := range r.GetBundles() {
		if why := s.GetBundle().GetRollout().GetReason(); why != "" {
			fmt.Fprintf(w, "  %s@%d: %s\n", s.GetBundle().GetName(), s.GetBundle().GetRollout().GetVersion(), oneLine(why))
		}
	}
	if len(hosts) > 0 {
		fmt.Fprintln(w)
		rows(w, "BUNDLE HOST VERSION AS STATE", hosts...)
	}
}

func versionOf(b *logpb.Bundle, n uint64) *logpb.BundleVersion {
	for _, v := range b.GetVersions() {
		if v.GetN() == n {
			return v
		}
	}
	return nil
}

// phase is how far the newest version came, and what the other hosts have.
func phase(b *logpb.Bundle) string {
	word := strings.ToLower(strings.TrimPrefix(b.GetRollout().GetPhase().String(), "ROLLOUT_PHASE_"))
	word = strings.ReplaceAll(word, "_", " ")
	switch {
	case b.GetCurrent() == b.GetRollout().GetVersion():
		return word
	case b.GetCurrent() == 0:
		return word + ", others have none"
	}
	return fmt.Sprintf("%s, others have %d", word, b.GetCurrent())
}

func bundleLabels(v *logpb.BundleVersion) string {
	if len(v.GetLabels()) == 0 {
		return "all"
	}
	return strings.ReplaceAll(conditions(v.GetLabels()), " ", ",")
}

func hostRole(h *adminpb.BundleHost) string {
	if h.GetCanary() {
		return "canary"
	}
	return "host"
}

// bundleState is how a host stands to a bundle, in words.
func bundleState(h *adminpb.BundleHost) string {
	text := h.GetState()
	if h.GetState() != "runs" && h.GetRunning() != 0 {
		text += fmt.Sprintf(", runs %d", h.GetRunning())
	}
	if h.GetLost() {
		text += ", lost"
	}
	if h.GetReason() != "" {
		text += ": " + h.GetReason()
	}
	if len(h.GetShadowed()) > 0 {
		text += "; its own hold for " + strings.Join(h.GetShadowed(), ", ")
	}
	if len(h.GetAbsent()) > 0 {
		text += "; no services there for " + strings.Join(h.GetAbsent(), ", ")
	}
	return text
}

func (a *app) rulesRollback() *cobra.Command {
	c := &cobra.Command{
		Use:   "rollback BUNDLE --reason WHY",
		Short: "Leave a version of a bundle for the one before it, everywhere at once",
		Long: `Leave a version of a bundle for the one that all hosts had before, everywhere at once: the version that its canaries
try, else the one that all have. Before the first version there is none, so that its rules go.`,
		Example:           `  salve rules rollback base --reason "disk-full fires at night"`,
		Args:              exactly("the name of a bundle"),
		ValidArgsFunction: a.completeBundle(),
	}
	out := addOutput(c)
	yes := addYes(c)
	why := c.Flags().String("reason", "", "why; shown wherever the bundle is shown")
	c.RunE = func(c *cobra.Command, args []string) error {
		var b *logpb.Bundle
		if err := a.controller(c.Context(), quick, true, func(ctx context.Context, admin client) error {
			r, err := admin.ListBundles(ctx, &adminpb.ListBundlesRequest{Name: args[0]})
			if err == nil {
				b = r.GetBundles()[0].GetBundle()
			}
			return err
		}); err != nil {
			return err
		}
		left := b.GetCurrent()
		if b.GetRollout().GetPhase() == logpb.RolloutPhase_ROLLOUT_PHASE_CANARY {
			left = b.GetRollout().GetVersion()
		}
		if left == 0 {
			return &coded{code: exitNotFound, err: fmt.Errorf("no host has anything of the bundle %s", args[0])}
		}
		if err := a.confirm(*yes, "This takes %s@%d from every host that has it", args[0], left); err != nil {
			return err
		}
		req := &adminpb.RollbackBundleRequest{Name: args[0], Version: left, By: a.by(), Reason: *why}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.RollbackBundleResponse, error) {
			return admin.RollbackBundle(ctx, req)
		}, func(w io.Writer, r *adminpb.RollbackBundleResponse) {
			now := "nothing of it"
			if n := r.GetBundle().GetCurrent(); n != 0 {
				now = fmt.Sprintf("%s@%d", args[0], n)
			}
			fmt.Fprintf(w, "left %s@%d: the hosts have %s\n", args[0], left, now)
		})
	}
	return c
}

func writePushed(w io.Writer, r *adminpb.PushBundleResponse) {
	b := r.GetBundle()
	canaries := namesOf(r.GetNames()).all(b.GetRollout().GetCanaries())
	slices.Sort(canaries)
	fmt.Fprintf(w, "pushed %s@%d to %s: %s\n", b.GetName(), b.GetRollout().GetVersion(), story.Number(len(canaries), "host"),
		strings.Join(canaries, ", "))
	fmt.Fprintf(w, "to all after %s there without a false alarm\n", defaults.Duration(time.Duration(b.GetRollout().GetBake())))
}
