package config

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/remedy"
)

// Actions of an allow block that are no remedies: programs that probes and notifiers run.
const (
	ActionProbe  = "probe"
	ActionNotify = "notify"
)

// Allows reports whether some allow block permits the action on the target. It is the local last
// word; who acts asks it again with the primary name of what it is about to touch.
func (a *Agent) Allows(action string, on remedy.Target, target string) bool {
	return allows(a.Allow, action, on, func(pattern string) bool { return glob.Match(pattern, target) })
}

// AllowsRemedy reports whether some allow block permits the remedy when it is tried for the unit. Of one that chooses what
// it acts on this says no more than that it may find something.
func (a *Agent) AllowsRemedy(rem *Remedy, unit string) bool {
	spec, known := remedy.Lookup(string(rem.Kind))
	if among := rem.Among(); among != nil {
		return known && slices.ContainsFunc(among, func(one string) bool {
			return allows(a.Allow, string(rem.Kind), spec.Target, func(pattern string) bool { return glob.Overlap(pattern, one) })
		})
	}
	target := rem.Target(unit)
	return known && target != "" && a.Allows(string(rem.Kind), spec.Target, target)
}

func allows(blocks []Allow, action string, on remedy.Target, meets func(pattern string) bool) bool {
	for i := range blocks {
		if slices.Contains(blocks[i].Actions, action) && slices.ContainsFunc(blocks[i].targets(on), meets) {
			return true
		}
	}
	return false
}

func (a *Allow) targets(on remedy.Target) []string {
	switch on {
	case remedy.OnUnit:
		return a.Units
	case remedy.OnPool:
		return a.Pools
	case remedy.OnCache:
		return a.Caches
	case remedy.OnExec:
		return a.Exec
	case remedy.OnPath:
		return a.Paths
	case remedy.OnCircuit:
		return a.Circuits
	case remedy.OnGroup:
		return a.Groups
	case remedy.OnPackage:
		return a.Packages
	case remedy.OnHost:
		if a.Host {
			return []string{remedy.ThisHost}
		}
	}
	return nil
}

func (l *loader) decodeAllow(b *block) {
	units := b.globs("units", func(s string) string { return remedy.CheckUnitName(s, true) })
	a := Allow{
		Range: b.header, Units: plain(units),
		Pools:    plain(b.globs("pools", anyGlob)),
		Caches:   plain(b.globs("caches", anyGlob)),
		Circuits: plain(b.globs("circuits", anyGlob)),
		Groups:   plain(b.globs("groups", anyGlob)),
		Paths:    plain(b.globs("paths", checkAbsolute)),
		Packages: plain(b.globs("packages", checkPackageGlob)),
		Exec:     plain(b.globs("exec", checkProgramGlob)),
		Host:     b.boolean("host"),
	}
	if len(b.set("units", "pools", "caches", "circuits", "groups", "paths", "packages", "exec", "host")) == 0 {
		l.fail(b.header, "No target", "allow names no units, pools, caches, circuits, groups, paths, packages, exec or host; nothing listed, nothing allowed.")
	}
	if b.has("host") && !a.Host {
		b.fail("host", "No target", "host = false allows nothing; leave it out.")
	}
	actions := b.texts("actions")
	if b.has("actions") && len(actions) == 0 {
		b.fail("actions", "No action", "allow lists no actions; nothing listed, nothing allowed.")
	}
	for _, w := range actions {
		if l.checkAction(b, w) {
			a.Actions = append(a.Actions, w.text)
		}
	}
	for _, w := range units {
		if strings.Trim(strings.TrimSuffix(w.text, ".service"), "*") == "" {
			l.warn(w.at, "Every unit", "%q allows these actions on every unit of the host.", w.text)
		}
	}
	l.allowed = append(l.allowed, units...)
	l.agent.Allow = append(l.agent.Allow, a)
}

// allowKeys are the keys of an allow block that name targets.
var allowKeys = map[remedy.Target]string{
	remedy.OnUnit: "units", remedy.OnPool: "pools", remedy.OnCache: "caches", remedy.OnCircuit: "circuits",
	remedy.OnGroup: "groups", remedy.OnExec: "exec", remedy.OnPath: "paths", remedy.OnPackage: "packages", remedy.OnHost: "host",
}

// checkAction reports an action that does not exist, or that has nothing in this block to act on.
func (l *loader) checkAction(b *block, w word) bool {
	on := remedy.OnExec
	if w.text != ActionProbe && w.text != ActionNotify {
		spec, ok := l.spec(w, "action", append(remedy.Names(), ActionProbe, ActionNotify))
		if !ok {
			return false
		}
		on = spec.Target
	}
	key := allowKeys[on]
	if len(b.set(key)) == 0 {
		l.fail(w.at, "No target", "%s acts on what %q lists, and this allow block has no %q.", w.text, key, key)
		return false
	}
	return true
}

// spec finds a kind of remedy by the word that the file uses for it.
func (l *loader) spec(w word, what string, known []string) (remedy.Spec, bool) {
	if spec, ok := remedy.Lookup(w.text); ok {
		return spec, true
	}
	l.fail(w.at, "Unknown "+what, "There is no %s %q.%s", what, w.text, oneOf(w.text, known))
	return remedy.Spec{}, false
}

// unknownKind reports a remedy or notifier of a kind that does not exist.
func (l *loader) unknownKind(raw *hcl.Block) {
	w := word{raw.Labels[0], raw.LabelRanges[0]}
	if raw.Type == "remedy" {
		l.spec(w, "kind of remedy", remedy.Names())
		return
	}
	known := l.notifierKinds()
	if w.text == ExecHook {
		l.fail(w.at, "Not here", "The controller runs no programs; notifiers of kind %q stand in agent.hcl.", w.text)
		return
	}
	l.fail(w.at, "Unknown kind of notifier", "There is no kind of notifier %q.%s", w.text, oneOf(w.text, known))
}

// globs reads a list whose words pass the check and can be read as globs.
func (b *block) globs(name string, check func(string) string) []word {
	var list []word
	for _, w := range b.texts(name) {
		wrong := check(w.text)
		if wrong == "" && !glob.Valid(w.text) {
			wrong = "it is a broken glob"
		}
		if wrong != "" {
			b.l.fail(w.at, "Wrong value", "%s: %s.", name, wrong)
			continue
		}
		list = append(list, w)
	}
	return list
}

func anyGlob(string) string { return "" }

// checkPackageGlob sees to it that a line of the helper's list, which root reads, stays one.
func checkPackageGlob(s string) string {
	if strings.Trim(s, "*?[]^-+._0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || strings.Trim(s, "*?") == "" {
		return fmt.Sprintf("%q names no package", s)
	}
	return ""
}

func checkProgramGlob(s string) string {
	if wrong := checkAbsolute(s); wrong != "" {
		return wrong
	}
	if glob.Is(path.Dir(s)) {
		return "the folder of a program must be named, only its file may be a glob"
	}
	return ""
}
