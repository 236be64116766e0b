package config

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/salveops/salve/pkg/signal"
)

// grammar is what one program's file may hold.
type grammar struct {
	file   string
	kinds  kinds
	places map[string]string // for every kind of block, a file that holds one, with a hole for a line of its own
}

func grammars() []grammar {
	agent, controller := agentKinds(), controllerKinds()
	return []grammar{
		{agentFile, agent, withPeople(agent, map[string]string{
			"agent":      "%s",
			"allow":      "allow {\n%s\n}",
			"controller": "controller {\n%s\n}",
			"context":    "context \"x\" {\n%s\n}",
			"query":      "query \"x\" {\n%s\n}",
			"field":      "context \"x\" {\n  field \"x\" {\n%s\n  }\n}",
			"service":    "service \"x\" {\n%s\n}",
			"probe":      "service \"x\" {\n  probe \"x\" {\n%s\n  }\n}",
			"scrape":     "service \"x\" {\n  scrape \"x\" {\n%s\n  }\n}",
			"statsd":     "service \"x\" {\n  statsd \"x\" {\n%s\n  }\n}",
			"otlp":       "service \"x\" {\n  otlp \"x\" {\n%s\n  }\n}",
			"metric":     "service \"x\" {\n  scrape \"x\" {\n  metric \"x\" {\n%s\n  }\n  }\n}",
			"pool":       "service \"x\" {\n  pool \"x\" {\n%s\n  }\n}",
			"cache":      "service \"x\" {\n  cache \"x\" {\n%s\n  }\n}",
			"circuit":    "service \"x\" {\n  circuit \"x\" {\n%s\n  }\n}",
			"group":      "service \"x\" {\n  group \"x\" {\n%s\n  }\n}",
			"reset":      "service \"x\" {\n  pool \"x\" {\n  reset {\n%s\n  }\n  }\n}",
			"log":        "service \"x\" {\n  log \"x\" {\n%s\n  }\n}",
			"slo":        "service \"x\" {\n  slo \"x\" {\n%s\n  }\n}",
			"spent":      "service \"x\" {\n  slo \"x\" {\n  spent {\n%s\n  }\n  }\n}",
			"verify":     "remedy \"start\" \"x\" {\n  verify {\n%s\n  }\n}",
			"rule":       "rule \"x\" {\n%s\n}",
			"escalate":   "rule \"x\" {\n  escalate {\n%s\n  }\n}",
			"threshold":  "threshold \"x\" {\n%s\n}",
			"case":       "threshold \"x\" {\n  case {\n%s\n  }\n}",
			"test":       "test \"x\" {\n%s\n}",
			"change":     "test \"x\" {\n  change \"1s\" {\n%s\n  }\n}",
			"after":      "test \"x\" {\n  after \"x\" {\n%s\n  }\n}",
			"at":         "test \"x\" {\n  at \"1s\" {\n%s\n  }\n}",
		})},
		{controllerFile, controller, withPeople(controller, map[string]string{
			"controller file": "%s",
			"listen":          "listen {\n%s\n}",
			"raft":            "raft {\n%s\n}",
			"query":           "query \"x\" {\n%s\n}",
			"breaker":         "breaker {\n%s\n}",
			"service":         "service \"x\" {\n%s\n}",
		})},
	}
}

// withPeople adds the places of what both files may hold, and of the kinds that stand in their label.
func withPeople(ks kinds, m map[string]string) map[string]string {
	m["escalation"] = "escalation \"x\" {\n%s\n}"
	m["step"] = "escalation \"x\" {\n  step {\n%s\n  }\n}"
	m["heartbeat"] = "heartbeat {\n%s\n}"
	m["tls"] = "tls {\n%s\n}"
	m["window"] = "window \"x\" {\n%s\n}"
	for kind := range ks {
		if block, label, ok := strings.Cut(kind, " "); ok && label != "file" {
			m[kind] = block + " \"" + label + "\" \"x\" {\n%s\n}"
		}
	}
	return m
}

// outcome loads the file with that text.
func (g grammar) outcome(t *testing.T, src string) string {
	t.Helper()
	return outcome(t, "-- "+g.file+" --\n"+src+"\n")
}

// values are right values by type.
var values = map[attrType]string{
	text: `"x"`, texts: `["x"]`, dict: `{ x = "x" }`, duration: `"10s"`, integer: "1", integers: "[200]",
	share: "0.5", hosts: "2", boolean: "true", condition: "true",
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
			want := fmt.Sprintf("%s:%d:1: error: Unknown ", c.file, 1+strings.Count(src[:strings.Index(src, line)], "\n"))
			hint := fmt.Sprintf("Did you mean %q?", signal.Closest(wrong, c.all))
			if got := c.outcome(t, src); !hasLine(got, want, hint) {
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
			line := c.name + " = " + value
			src := fmt.Sprintf(c.place, line)
			want := fmt.Sprintf("%s:%d:", c.file, 1+strings.Count(src[:strings.Index(src, line)], "\n"))
			if got := c.outcome(t, src); !hasLine(got, want, ": error: ") || strings.Contains(got, "Unknown key") {
				t.Errorf("%s: %s = %s is accepted:\n%s", c.kind, c.name, value, got)
			}
		}
	}
}

// interchangeable: the sample value of type b is also one of type a.
func interchangeable(a, b attrType) bool {
	whole := []attrType{integer, hosts}
	return a == b || b == condition && a == boolean || a == share && b == integer || a == text && b == duration ||
		slices.Contains(whole, a) && slices.Contains(whole, b)
}

// TestRequiredKeys leaves out every key that is required.
func TestRequiredKeys(t *testing.T) {
	for _, g := range grammars() {
		for kind, place := range g.places {
			for _, a := range g.kinds[kind].attrs {
				if !a.required {
					continue
				}
				got, want := g.outcome(t, fmt.Sprintf(place, "")), fmt.Sprintf("needs %q", a.name)
				if !strings.Contains(got, want) {
					t.Errorf("%s: %s without %s: no %q in\n%s", g.file, kind, a.name, want, got)
				}
			}
		}
	}
}

// TestRefusedNames sets every name that comes later or belongs elsewhere.
func TestRefusedNames(t *testing.T) {
	for _, g := range grammars() {
		for kind, place := range g.places {
			for _, r := range g.kinds[kind].refuse {
				line := r.name + ` = "x"`
				if r.block {
					line = r.name + strings.Repeat(` "x"`, len(r.labels)) + " {\n}"
				}
				want := []string{": error: Not yet", "later release"}
				if r.here {
					want = []string{": error: Not here", r.why}
				}
				if got := g.outcome(t, fmt.Sprintf(place, line)); !hasLine(got, want...) {
					t.Errorf("%s: %s: %s is not refused as %q:\n%s", g.file, kind, r.name, want, got)
				}
			}
		}
	}
}

type keyCase struct {
	grammar
	kind, name, place, value string
	typ                      attrType
	block                    bool
	all                      []string // every name of the kind
}

// cases lists every key and nested block of every kind of both files.
func cases(t *testing.T) []keyCase {
	t.Helper()
	var all []keyCase
	for _, g := range grammars() {
		for kind, k := range g.kinds {
			place, ok := g.places[kind]
			if !ok && kind != "rules" && kind != "bundle" && len(k.attrs)+len(k.blocks) > 0 {
				t.Errorf("%s: kind %q has no place in this test", g.file, kind)
			}
			if !ok {
				continue
			}
			c := keyCase{grammar: g, kind: kind, place: place, all: k.names()}
			for _, a := range k.attrs {
				c.name, c.typ, c.value, c.block = a.name, a.typ, values[a.typ], false
				all = append(all, c)
			}
			for _, b := range k.blocks {
				c.name, c.block = b, true
				all = append(all, c)
			}
		}
	}
	sort.Slice(all, func(i, j int) bool {
		return all[i].file+all[i].kind+all[i].name < all[j].file+all[j].kind+all[j].name
	})
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
