package downgrade

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/salveops/salve/agent/internal/order"
)

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
