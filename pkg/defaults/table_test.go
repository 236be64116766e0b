package defaults

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite docs/defaults.md")

// TestDocs fails when docs/defaults.md is stale.
func TestDocs(t *testing.T) {
	const path = "../../docs/defaults.md"
	if *update {
		if err := os.WriteFile(path, []byte(Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Markdown(), string(got)); diff != "" {
		t.Errorf("docs/defaults.md is stale: run go test ./pkg/defaults -update\n%s", diff)
	}
}

// TestEveryConstantIsListed keeps the table complete: a constant that people cannot read about
// is a default that nobody knows.
func TestEveryConstantIsListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "defaults.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]int{}
	for _, d := range All() {
		listed[d.Const]++
		if d.Help == "" || d.Group == "" {
			t.Errorf("%s has no help or group", d.Const)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, name := range spec.Names {
			if listed[name.Name] != 1 {
				t.Errorf("constant %s is in the table %d times, want once", name.Name, listed[name.Name])
			}
			delete(listed, name.Name)
		}
		return true
	})
	for name := range listed {
		t.Errorf("the table lists %s, which is no constant of defaults.go", name)
	}
}

func TestText(t *testing.T) {
	for want, value := range map[string]any{
		"10m":         10 * time.Minute,
		"1h":          time.Hour,
		"24h":         24 * time.Hour,
		"1m30s":       90 * time.Second,
		"500ms":       500 * time.Millisecond,
		"0s":          time.Duration(0),
		"80 %":        0.8,
		"3":           3,
		"localhost:2": "localhost:2",
	} {
		if got := (Default{Value: value}).Text(); got != want {
			t.Errorf("Text(%v) = %q, want %q", value, got, want)
		}
	}
}
