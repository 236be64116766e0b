// Package polkit says to polkit what the agent's user may ask of systemd: exactly the units of the allow
// blocks, with the verbs of their actions; a reboot, and reading changed drop-ins, where they permit it. The rules are made and
// put in place by root; the agent itself never touches them, so that whoever owns the agent owns no more than they say.
package polkit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/remedy"
)

// User is the user of the agent, as the package makes it.
const User = "salve"

// Rules is the text of the rules file for these allow blocks. Units that match one of the protected patterns
// are refused whatever the blocks say. With nothing allowed, everything is refused.
func Rules(allow []config.Allow, protected []string) (string, error) {
	var b strings.Builder
	b.WriteString(head)
	host := config.Agent{Allow: allow}
	if host.Allows(string(remedy.Reboot), remedy.OnHost, remedy.ThisHost) {
		b.WriteString(mayReboot)
	}
	entries := grant(allow)
	if slices.ContainsFunc(entries, func(e helper.Entry) bool { return reloads(e, protected) }) {
		b.WriteString(mayReload)
	}
	b.WriteString(onUnits)
	if err := list(&b, "never", protected, func(string) string { return "" }); err != nil {
		return "", err
	}
	patterns, verbs := make([]string, len(entries)), map[string]string{}
	for i, e := range entries {
		patterns[i] = e.Pattern
		verbs[e.Pattern] = `, ["` + strings.Join(e.Verbs, `", "`) + `"]`
	}
	if err := list(&b, "may", patterns, func(p string) string { return verbs[p] }); err != nil {
		return "", err
	}
	b.WriteString(tail)
	return b.String(), nil
}

// List is what the helper may do for these allow blocks, as its file says it: the same as Rules, so that it is all
// one which of the two the agent's user goes through.
func List(allow []config.Allow, protected []string) (string, error) {
	l := helper.List{Never: protected, May: grant(allow), Packages: packages(allow)}
	for _, p := range l.Never {
		if _, err := regex(p); err != nil {
			return "", err
		}
	}
	for _, e := range l.May {
		if _, err := regex(e.Pattern); err != nil {
			return "", err
		}
	}
	for _, p := range l.Packages {
		if wrong := checkPattern(p); wrong != "" {
			return "", fmt.Errorf("no line for the package %q: %s", p, wrong)
		}
	}
	return l.Text(), nil
}

const head = `// Made by "salve-agent polkit-rules" out of the allow blocks of the agent's configuration, at each
// start and reload of the agent. What is changed here is lost then.
polkit.addRule(function (action, subject) {
    if (subject.user !== "` + User + `") {
        return polkit.Result.NOT_HANDLED;
    }
`

// mayReboot leaves out reboot-multiple-sessions and reboot-ignore-inhibit.
const mayReboot = `    // Whoever is logged in, or must not be interrupted, keeps the host up: those are other actions.
    if (action.id === "org.freedesktop.login1.reboot") {
        return polkit.Result.YES;
    }
`

// mayReload is there only where drop-ins of a unit are put back: polkit is not told of which unit they are.
const mayReload = `    // An allow block permits to put back drop-ins of a unit, which systemd then has to read.
    if (action.id === "org.freedesktop.systemd1.reload-daemon") {
        return polkit.Result.YES;
    }
`

const onUnits = `    // Making transient units, masking and enabling come without a unit or as other actions: refused.
    if (action.id !== "org.freedesktop.systemd1.manage-units") {
        return polkit.Result.NO;
    }
    var unit = action.lookup("unit"), verb = action.lookup("verb");
    if (typeof unit !== "string" || typeof verb !== "string") {
        return polkit.Result.NO;
    }
`

const tail = `    for (var i = 0; i < never.length; i++) {
        if (never[i][0].test(unit)) {
            return polkit.Result.NO;
        }
    }
    for (var j = 0; j < may.length; j++) {
        if (may[j][0].test(unit) && may[j][1].indexOf(verb) >= 0) {
            return polkit.Result.YES;
        }
    }
    return polkit.Result.NO;
});
`

// list writes a JavaScript array of patterns, each with what follows it.
func list(b *strings.Builder, name string, patterns []string, after func(pattern string) string) error {
	fmt.Fprintf(b, "    var %s = [\n", name)
	for _, p := range patterns {
		re, err := regex(p)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "        [/%s/%s],\n", re, after(p))
	}
	b.WriteString("    ];\n")
	return nil
}

// reloads reports whether the entry is of a unit whose drop-ins are put back.
func reloads(e helper.Entry, protected []string) bool {
	return slices.Contains(e.Verbs, remedy.VerbReloadManager) &&
		!slices.ContainsFunc(protected, func(p string) bool { return glob.Match(p, e.Pattern) })
}

// grant gathers the verbs of each pattern, sorted, so that the same configuration gives the same text.
func grant(allow []config.Allow) []helper.Entry {
	verbs := map[string][]string{}
	for _, a := range allow {
		for _, unit := range a.Units {
			for _, action := range a.Actions {
				verbs[unit] = append(verbs[unit], verbsOf(action)...)
			}
		}
		for _, at := range a.Paths {
			if unit := remedy.DropIn(at); unit != "" && slices.Contains(a.Actions, string(remedy.RollbackFiles)) {
				verbs[unit] = append(verbs[unit], remedy.VerbReloadManager)
			}
		}
	}
	var out []helper.Entry
	for unit, all := range verbs {
		slices.Sort(all)
		if all = slices.Compact(all); len(all) > 0 {
			out = append(out, helper.Entry{Pattern: unit, Verbs: all})
		}
	}
	slices.SortFunc(out, func(a, b helper.Entry) int { return strings.Compare(a.Pattern, b.Pattern) })
	return out
}

// packages gathers the packages that may go back, sorted.
func packages(allow []config.Allow) []string {
	var out []string
	for _, a := range allow {
		if slices.Contains(a.Actions, string(remedy.RollbackPackages)) {
			out = append(out, a.Packages...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// verbsOf are the verbs that an action needs; none for what does not act on units, or is no remedy.
func verbsOf(action string) []string {
	for _, s := range remedy.Specs() {
		if string(s.Kind) == action && s.Target == remedy.OnUnit {
			return s.Verbs
		}
	}
	return nil
}
