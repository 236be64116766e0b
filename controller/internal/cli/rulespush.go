package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/pkg/bundle"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// defaultBundle is the bundle that is meant if none is named.
const defaultBundle = "rules"

func (a *app) rulesPush() *cobra.Command {
	c := &cobra.Command{
		Use:   "push PATH",
		Short: "Bring rules to hosts: to a share first, then to all",
		Long: `Bring the rules of a folder, or of one file, to hosts. The files hold rule, threshold and test blocks only. Their
tests run first; nothing is pushed if one fails, or if a rule has none. Rules about services are tested on the
configuration of a host that has them, which --on names and which is not pushed.

What changes is shown, and whether it is meant is asked. Without --labels a version goes to the hosts of the version before, and the
first one to all.

Ends with 4 if the rules are not valid or not tested.`,
		Example: `  salve rules push rules.d/ --name base
  salve rules push checkout.hcl --name checkout --labels role=web --on /etc/salve --canary 10% --bake 1h`,
		Args: exactly("a folder or file"),
	}
	out := addOutput(c)
	yes := addYes(c)
	name := addBundleName(c)
	labels := c.Flags().StringSlice("labels", nil, `hosts that get it, such as role=web,zone=a; "all" is every host`)
	canary := c.Flags().String("canary", "10%", "share of the hosts that try it first; at least one host")
	bake := c.Flags().Duration("bake", 10*time.Minute, "how long it has to run there without a false alarm")
	on := c.Flags().String("on", "", "agent.hcl, or a folder with one, of a host on whose services the rules are tested")
	untested := c.Flags().Bool("untested", false, "push without running tests, whether every rule has one or not")
	c.RunE = func(c *cobra.Command, args []string) error {
		req := &adminpb.PushBundleRequest{Name: *name, By: a.by(), Bake: bake.Nanoseconds()}
		if err := target(req, *labels, c.Flags().Changed("labels"), *canary); err != nil {
			return err
		}
		b, err := a.bundle(*name, args[0])
		if err != nil {
			return err
		}
		if !*untested {
			if err := a.testBundle(c.Context(), b, *on); err != nil {
				return err
			}
		}
		was, err := a.current(c.Context(), *name)
		if err != nil {
			return err
		}
		req.Base, req.Files = was.GetNewest(), filesOf(b)
		text := bundleDiff(was.GetVersion(), b)
		switch {
		case was.GetVersion() == nil: // all of it is new
		case text != "":
			fmt.Fprint(story.Printable(a.Err), text)
		case req.GetSameLabels() && was.GetVersion().GetN() == was.GetNewest():
			fmt.Fprintf(story.Printable(a.Out), "nothing to push: %s@%d is the same\n", *name, was.GetNewest())
			return nil
		}
		if err := a.confirm(*yes, "This brings %s@%d to %s of %s", *name, req.GetBase()+1, *canary, audience(req)); err != nil {
			return err
		}
		return change(a, c, out, quick, func(ctx context.Context, admin client) (*adminpb.PushBundleResponse, error) {
			return admin.PushBundle(ctx, req)
		}, writePushed)
	}
	return c
}

func addBundleName(c *cobra.Command) *string {
	return c.Flags().String("name", defaultBundle, "name of the bundle")
}

// target puts into a push which hosts get it.
func target(req *adminpb.PushBundleRequest, labels []string, given bool, canary string) error {
	percent, err := strconv.ParseFloat(strings.TrimSuffix(canary, "%"), 64)
	if err != nil || !strings.HasSuffix(canary, "%") || !(percent > 0 && percent <= 100) {
		return usagef("--canary %q: it is a share such as 10%%, more than 0%% and at most 100%%", canary)
	}
	req.Share = uint32(max(1, math.Round(percent*10_000)))
	req.SameLabels = !given
	if slices.Equal(labels, []string{"all"}) {
		return nil
	}
	if given && len(labels) == 0 {
		return usagef(`--labels names no label; "all" is every host`)
	}
	slices.Sort(labels)
	for _, l := range labels {
		name, value, ok := strings.Cut(l, "=")
		if !ok || name == "" {
			return usagef("--labels: %q is no label: it looks like role=web", l)
		}
		req.Labels = append(req.Labels, &logpb.Label{Name: name, Value: value})
	}
	return nil
}

// audience is who gets a push.
func audience(req *adminpb.PushBundleRequest) string {
	switch {
	case req.GetSameLabels() && req.GetBase() > 0:
		return "the hosts of the version before"
	case len(req.GetLabels()) == 0:
		return "all hosts"
	}
	return "the hosts with " + conditions(req.GetLabels())
}

func (a *app) rulesDiff() *cobra.Command {
	c := &cobra.Command{
		Use:   "diff PATH",
		Short: "Compare rules with those that all hosts have of a bundle",
		Long: `Compare the rules of a folder, or of one file, with the version of a bundle that all its hosts have.

Ends with 0 if they are the same, and with 4 if they differ.`,
		Args: exactly("a folder or file"),
	}
	name := addBundleName(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		b, err := a.bundle(*name, args[0])
		if err != nil {
			return err
		}
		was, err := a.current(c.Context(), *name)
		if err != nil {
			return err
		}
		text := bundleDiff(was.GetVersion(), b)
		if text == "" {
			return nil
		}
		fmt.Fprint(story.Printable(a.Out), text)
		return silently(exitFindings)
	}
	return c
}

// bundle reads and checks the files of a path.
func (a *app) bundle(name, path string) (*config.Bundle, error) {
	if err := bundle.CheckName(name); err != nil {
		return nil, usagef("--name: %v", err)
	}
	b := &config.Bundle{Name: name, Folder: path}
	files := []string{}
	entries, err := os.ReadDir(path)
	if err != nil {
		b.Folder, files = filepath.Dir(path), []string{filepath.Base(path)}
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".hcl") && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, e.Name())
		}
	}
	for _, f := range files {
		text, err := readAtMost(filepath.Join(b.Folder, f), bundle.MaxSize+1)
		if err != nil {
			return nil, err
		}
		b.Files = append(b.Files, bundle.File{Name: f, Text: text})
	}
	if _, diags := config.CheckBundle(b); diags.HasErrors() {
		if err := a.writeDiagnostics(diags); err != nil {
			return nil, err
		}
		return nil, silently(exitFindings)
	}
	return b, nil
}

// readAtMost is the beginning of a file.
func readAtMost(path string, most int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most))
	return string(text), err
}

// testBundle runs the tests of a bundle, and sees to it that each of its rules has one.
func (a *app) testBundle(ctx context.Context, b *config.Bundle, on string) error {
	set, diags := config.LoadBundleTests(b, on, config.LoadOptions{Getenv: a.Getenv})
	if diags.HasErrors() {
		if err := a.writeDiagnostics(diags); err != nil {
			return err
		}
		return silently(exitFindings)
	}
	own := func(t *config.Test) bool {
		return slices.ContainsFunc(b.Files, func(f bundle.File) bool { return filepath.Join(b.Folder, f.Name) == t.Range.Filename })
	}
	set.Tests = slices.DeleteFunc(set.Tests, func(t *config.Test) bool { return !own(t) })
	found, err := runTests(ctx, []*config.Agent{set}, regexp.MustCompile(""), false)
	if err != nil {
		return err
	}
	writeTests(story.Printable(a.Err), found, false)
	d := set.Bundles[0]
	if len(d.Shadowed) > 0 {
		fmt.Fprintf(story.Printable(a.Err), "salve: not tested, because %s has its own: %s\n", on, strings.Join(d.Shadowed, ", "))
	}
	var missing []string
	for _, rule := range append(slices.Clone(d.Rules), d.Absent...) {
		if !slices.ContainsFunc(set.Tests, func(t *config.Test) bool { return names(t, rule) }) {
			missing = append(missing, rule)
		}
	}
	switch {
	case found.Failed > 0:
		return &coded{code: exitFindings, err: fmt.Errorf("nothing was pushed: a test fails")}
	case len(missing) > 0:
		return &coded{code: exitFindings, err: fmt.Errorf("nothing was pushed: no test says when these fire: %s; "+
			"rules about services are tested with --on, and --untested pushes all the same", strings.Join(missing, ", "))}
	}
	return nil
}

// names reports whether a test says of a rule whether it fires.
func names(t *config.Test, rule string) bool {
	for _, at := range t.At {
		for _, list := range []*config.Names{at.Firing, at.Pending, at.Blind} {
			if list == nil {
				continue
			}
			for _, alert := range list.List {
				if name, _, _ := strings.Cut(alert, "{"); name == rule {
					return true
				}
			}
		}
	}
	return false
}

// current is what all hosts have of a bundle; nothing of one that there is not.
func (a *app) current(ctx context.Context, name string) (was *adminpb.GetBundleResponse, err error) {
	err = a.controller(ctx, quick, true, func(ctx context.Context, admin client) (err error) {
		was, err = admin.GetBundle(ctx, &adminpb.GetBundleRequest{Name: name})
		return err
	})
	return was, err
}

func filesOf(b *config.Bundle) []*logpb.BundleFile {
	out := make([]*logpb.BundleFile, len(b.Files))
	for i, f := range b.Files {
		out[i] = &logpb.BundleFile{Name: f.Name, Text: f.Text}
	}
	return out
}

// bundleDiff is what changes, file by file; "" if nothing does.
func bundleDiff(was *logpb.BundleVersion, b *config.Bundle) string {
	old, now := map[string]string{}, map[string]string{}
	var all []string
	for _, f := range was.GetFiles() {
		old[f.GetName()] = f.GetText()
		all = append(all, f.GetName())
	}
	for _, f := range b.Files {
		now[f.Name] = f.Text
		all = append(all, f.Name)
	}
	slices.Sort(all)
	var out strings.Builder
	for _, name := range slices.Compact(all) {
		version := fmt.Sprintf("%s@%d/%s", b.Name, was.GetN(), name)
		out.Write(diff.Diff(version, []byte(old[name]), filepath.Join(b.Folder, name), []byte(now[name])))
	}
	return out.String()
}
