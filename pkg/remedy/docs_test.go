package remedy

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite docs/remedies.md")

// TestDocs fails when docs/remedies.md is stale.
func TestDocs(t *testing.T) {
	const path = "../../docs/remedies.md"
	page := markdown(t)
	if *update {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(page, string(got)); diff != "" {
		t.Errorf("docs/remedies.md is stale: run go test ./pkg/remedy -update\n%s", diff)
	}
}

// markdown renders the page from the table of kinds and the examples in configs/remedies.
func markdown(t *testing.T) string {
	var b strings.Builder
	b.WriteString("# Remedies\n\nRendered from `pkg/remedy`, which the loader reads the arguments by, and `configs/remedies`. " +
		"Update: `go test ./pkg/remedy -update`.\n`salve remedies KIND` says the same on the command line.\n\n" +
		"| kind | acts on | disruptive | can be taken back | |\n|---|---|---|---|---|\n")
	for _, s := range Specs() {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s | %s |\n", s.Kind, s.Kind, s.Target, word(s.Disruptive), word(s.Undoable), s.Summary)
	}
	for _, s := range Specs() {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n", s.Kind, strings.ToUpper(s.Summary[:1])+s.Summary[1:])
		fmt.Fprintf(&b, "- **At worst**: %s\n- **Taken back**: %s\n", s.Worst, s.Back)
		if s.Needs != "" {
			fmt.Fprintf(&b, "- **Needs**: %s\n", s.Needs)
		}
		if len(s.Verbs) > 0 {
			fmt.Fprintf(&b, "- **Rights**: polkit's %s of the unit, as the allow blocks give them\n", strings.Join(s.Verbs, ", "))
		}
		b.WriteString("\n| argument | type | default | meaning |\n|---|---|---|---|\n")
		for _, a := range s.Args {
			def := a.Default
			if a.Required {
				def = "required"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", a.Name, a.Type, def, strings.ReplaceAll(a.Help, "|", "\\|"))
		}
		example, err := os.ReadFile(fmt.Sprintf("../../configs/remedies/%s.hcl", s.Kind))
		if err != nil {
			t.Errorf("the page needs an example of each kind: %v", err)
		}
		fmt.Fprintf(&b, "\n```hcl\n%s```\n", example)
	}
	return b.String()
}

func word(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
