package config

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/salveops/salve/pkg/signal"
)

// places tells, for every kind of block, a file that holds one, with a hole for a line of its own.
// The test below fails when a kind is missing here.
func places() map[string]string {
	m := map[string]string{
		"agent":             "%s",
		"allow":             "allow {\n%s\n}",
		"escalation":        "escalation \"x\" {\n%s\n}",
		"step":              "escalation \"x\" {\n  step {\n%s\n  }\n}",
		"heartbeat":         "heartbeat {\n%s\n}",
		"notifier email":    "notifier \"email\" \"x\" {\n%s\n}",
		"notifier webhook":  "notifier \"webhook\" \"x\" {\n%s\n}",
		"notifier exec":     "notifier \"exec\" \"x\" {\n%s\n}",
		"notifier journald": "notifier \"journald\" \"x\" {\n%s\n}",
		"controller":        "controller {\n%s\n}",
		"service":           "service \"x\" {\n%s\n}",
		"probe":             "service \"x\" {\n  probe \"x\" {\n%s\n  }\n}",
		"pool":              "service \"x\" {\n  pool \"x\" {\n%s\n  }\n}",
		"verify":            "remedy \"start\" \"x\" {\n  verify {\n%s\n  }\n}",
		"rule":              "rule \"x\" {\n%s\n}",
		"escalate":          "rule \"x\" {\n  escalate {\n%s\n  }\n}",
		"threshold":         "threshold \"x\" {\n%s\n}",
		"case":              "threshold \"x\" {\n  case {\n%s\n  }\n}",
		"window":            "window \"x\" {\n%s\n}",
	}
	for kind := range newKinds() {
		if action, ok := strings.CutPrefix(kind, "remedy "); ok {
			m[kind] = "remedy \"" + action + "\" \"x\" {\n%s\n}"
		}
	}
	return m
}

// values are right values by type.
var values = map[attrType]string{
	text: `"x"`, texts: `["x"]`, dict: `{ x = "x" }`, duration: `"10s"`, integer: "1", integers: "[200]",
	share: "0.5", boolean: "true", condition: "true",
}

// TestEveryKeyMistyped mistypes every key and block of every kind by one letter, in each of four
// ways, and expects an error at the very place that names the right one.
func TestEveryKeyMistyped(t *testing.T) {
	for _, c := range cases(t) {
		for _, wrong := range mistype(c.name) {
			if slices.Contains(c.all, wrong) {
				continue // a key of its own
			}
			line := wrong + " = " + c.value
			if c.block {
				line = wrong + " {\n}"
			}
			src := fmt.Sprintf(c.place, line)
			want := fmt.Sprintf("agent.hcl:%d:1: error: Unknown ", 1+strings.Count(src[:strings.Index(src, line)], "\n"))
			hint := fmt.Sprintf("Did you mean %q?", signal.Closest(wrong, c.all))
			if got := outcome(t, src); !hasLine(got, want, hint) {
				t.Errorf("%s: %s mistyped as %s: no %q with %q in\n%s", c.kind, c.name, wrong, want, hint, got)
			}
			if !near(wrong, c.name, c.all) {
				t.Errorf("%s: %s mistyped as %s suggests %s", c.kind, c.name, wrong, signal.Closest(wrong, c.all))
			}
		}
	}
}

// near reports whether the suggestion is the right name, or one that is as near to what was typed.
func near(wrong, right string, all []string) bool {
	suggested := signal.Closest(wrong, all)
	return suggested == right || suggested != "" && signal.Closest(wrong, []string{suggested, right}) == suggested
}

// TestEveryKeyWrongType gives every key a value of every other type.
func TestEveryKeyWrongType(t *testing.T) {
	for _, c := range cases(t) {
		if c.block || c.typ == condition {
			continue // conditions are typed by the rule language
		}
		for typ, value := range values {
			if interchangeable(c.typ, typ) {
				continue
			}
			src := fmt.Sprintf(c.place, c.name+" = "+value)
			if got := outcome(t, src); !strings.Contains(got, ": error: ") || strings.Contains(got, "Unknown key") {
				t.Errorf("%s: %s = %s is accepted:\n%s", c.kind, c.name, value, got)
			}
		}
	}
}

// interchangeable: the sample value of type b is also one of type a.
func interchangeable(a, b attrType) bool {
	number := []attrType{integer, share}
	word := []attrType{text, duration}
	return a == b || b == condition && a == boolean || a == share && slices.Contains(number, b) ||
		a == text && slices.Contains(word, b)
}

// TestRequiredKeys leaves out every key that is required.
func TestRequiredKeys(t *testing.T) {
	kinds := newKinds()
	for kind, place := range places() {
		for _, a := range kinds[kind].attrs {
			if !a.required {
				continue
			}
			if got, want := outcome(t, fmt.Sprintf(place, "")), fmt.Sprintf("needs %q", a.name); !strings.Contains(got, want) {
				t.Errorf("%s without %s: no %q in\n%s", kind, a.name, want, got)
			}
		}
	}
}

// TestRefusedNames sets every name that comes later or belongs elsewhere.
func TestRefusedNames(t *testing.T) {
	kinds := newKinds()
	for kind, place := range places() {
		for _, r := range kinds[kind].refuse {
			line := r.name + ` = "x"`
			if r.block {
				line = r.name + strings.Repeat(` "x"`, len(r.labels)) + " {\n}"
			}
			want := []string{": error: Not yet", "later release"}
			if r.here {
				want = []string{": error: Not here", r.why}
			}
			if got := outcome(t, fmt.Sprintf(place, line)); !hasLine(got, want...) {
				t.Errorf("%s: %s is not refused as %q:\n%s", kind, r.name, want, got)
			}
		}
	}
}

type keyCase struct {
	kind, name, place, value string
	typ                      attrType
	block                    bool
	all                      []string // every name of the kind
}

// cases lists every key and nested block of every kind.
func cases(t *testing.T) []keyCase {
	t.Helper()
	kinds, where := newKinds(), places()
	var all []keyCase
	for kind, k := range kinds {
		place, ok := where[kind]
		if !ok && kind != "rules" && len(k.attrs)+len(k.blocks) > 0 {
			t.Errorf("kind %q has no place in this test", kind)
		}
		if !ok {
			continue
		}
		for _, a := range k.attrs {
			all = append(all, keyCase{kind: kind, name: a.name, place: place, value: values[a.typ], typ: a.typ, all: k.names()})
		}
		for _, b := range k.blocks {
			all = append(all, keyCase{kind: kind, name: b, place: place, block: true, all: k.names()})
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].kind+all[i].name < all[j].kind+all[j].name })
	return all
}

// mistype leaves out a letter, doubles one, swaps two, and hits the wrong one.
func mistype(name string) []string {
	mid := len(name) / 2
	wrong := []string{
		name[:mid] + name[mid+1:],
		name[:mid] + name[mid:mid+1] + name[mid:],
		name[:mid] + "q" + name[mid+1:],
	}
	if a, b := name[mid-1], name[mid]; a != b {
		wrong = append(wrong, name[:mid-1]+string(b)+string(a)+name[mid+1:])
	}
	return wrong
}

func hasLine(text string, parts ...string) bool {
	for line := range strings.Lines(text) {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			return true
		}
	}
	return false
}
