package downgrade

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/packages"
)

// apt is apt-get over dpkg.
type apt struct{ packages.Dpkg }

func (apt) name() string   { return order.Apt }
func (apt) unhold() string { return "apt-mark unhold" }

// guard implements manager: the order's options say all.
func (apt) guard(context.Context, []order.Package) error { return nil }

const simulateTime = 30 * time.Second

// simulate implements manager: apt-get says what it would do. What no repository has any more may still lie where apt-get keeps
// what it has downloaded.
func (apt) simulate(ctx context.Context, plan *record) ([]string, error) {
	path, err := program.Find(order.Apt)
	if err != nil {
		return nil, kind.Refuse("%v", err)
	}
	ask := func() (program.Output, error) {
		o := order.Order{Verb: order.Install, Manager: order.Apt, Packages: plan.To, Hold: true}
		return program.Run(ctx, path, program.Cmd{Argv: slices.Concat([]string{path, "--simulate"}, o.Apt()), Timeout: simulateTime})
	}
	out, err := ask()
	if err == nil && out.Code != 0 && plan.keep() {
		out, err = ask()
	}
	switch {
	case err != nil:
		return nil, kind.Unknown("what apt-get would do", err)
	case out.Code != 0:
		return nil, kind.Refuse("apt-get would not install %s: %s", text(plan.To), complaint(string(out.Stderr)))
	case out.Truncated:
		return nil, kind.Refuse("apt-get would do more than can be read")
	}
	if wrong := beyond(steps(string(out.Stdout)), *plan); wrong != "" {
		return nil, kind.Refuse("apt-get would not only install %s: %s", text(plan.To), wrong)
	}
	return plan.detail(func(p order.Package) string {
		if p.Arch == "" {
			return ""
		}
		return " from " + p.File(p.Arch)
	}), nil
}

// keep has those versions come from files that apt-get keeps of which there is one, and reports whether there are any.
func (r *record) keep() (any bool) {
	for i, p := range r.To {
		for _, arch := range []string{r.arch[p.Name], "all"} {
			if _, err := os.Stat(p.File(arch)); err == nil && arch != "" {
				r.To[i].Arch, any = arch, true
			}
		}
	}
	return any
}

// step is one line of what apt-get would do.
type step struct {
	verb, name string
	version    string // that would be there then; "" of a removal
}

// steps reads what apt-get --simulate says: "Inst shop [2.0] (1.0 Example:stable [amd64])", "Remv old [1]", "Conf shop (…)".
func steps(text string) []step {
	var out []step
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || !slices.Contains([]string{"Inst", "Conf", "Remv", "Purg"}, words[0]) {
			continue
		}
		s := step{verb: words[0], name: words[1]}
		if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "(") }); i > 0 {
			s.version = strings.Trim(words[i], "()")
		}
		out = append(out, s)
	}
	return out
}

// beyond says what of the steps is not the plan, or what of the plan is not among the steps; "": they are the same.
func beyond(would []step, plan record) string {
	missing := map[string]string{}
	for _, p := range plan.To {
		missing[p.Name] = p.Version
	}
	wanted := func(s step) bool {
		return slices.ContainsFunc(plan.To, func(p order.Package) bool { return p.Name == s.name && p.Version == s.version })
	}
	for _, s := range would {
		if s.verb != "Inst" && s.verb != "Conf" || !wanted(s) {
			return fmt.Sprintf("it would %s %s %s", map[string]string{"Inst": "install", "Conf": "configure", "Remv": "remove",
				"Purg": "purge"}[s.verb], s.name, s.version)
		}
		if s.verb == "Inst" {
			delete(missing, s.name)
		}
	}
	for name, version := range missing {
		return fmt.Sprintf("it would leave %s without %s", name, version)
	}
	return ""
}

// complaint is what apt-get says is wrong.
func complaint(stderr string) string {
	var found []string
	for line := range strings.Lines(stderr) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "E: "); ok {
			found = append(found, text)
		}
	}
	return cmp.Or(strings.Join(found, " "), "it does not say why")
}
