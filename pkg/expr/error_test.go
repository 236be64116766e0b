package expr

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	diff "github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/signal"
)

var update = flag.Bool("update", false, "write what is into the golden files")

const cut = "----\n"

// Each file holds conditions as attributes, or threshold blocks, then what is wrong with them. A
// first line "# scope: host" or "# use: precondition" says where they stand.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(text), cut)
			got := diagnose(t, input)
			if *update {
				if err := os.WriteFile(file, []byte(input+cut+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := diff.Diff(want, got); d != "" {
				t.Errorf("run with -update if this is right:\n%s", d)
			}
		})
	}
}

func TestDepthIsBounded(t *testing.T) {
	for src, fine := range map[string]bool{
		strings.Repeat("!", 150) + "unit.failed":                true,
		"unit.failed" + strings.Repeat(" && unit.failed", 150):  true,
		strings.Repeat("!", 5000) + "unit.failed":               false,
		"unit.failed" + strings.Repeat(" || unit.failed", 5000): false,
	} {
		p, diags := Compile(parse(t, src), scope())
		if (p != nil) != fine || diags.HasErrors() == fine {
			t.Errorf("%.40s…, %d bytes: %v", src, len(src), diags)
		}
	}
}

func diagnose(t *testing.T, input string) string {
	f, diags := hclsyntax.ParseConfig([]byte(input), "rules.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s := goldenScope(t, input)
	var out bytes.Buffer
	body := f.Body.(*hclsyntax.Body)
	for _, a := range inOrder(body.Attributes) {
		_, diags := Compile(a.Expr, s)
		report(&out, a.Name, diags)
	}
	for _, b := range body.Blocks {
		var cases []Case
		for _, c := range b.Body.Blocks {
			cases = append(cases, Case{When: attribute(c.Body, "when"), Value: attribute(c.Body, "value")})
		}
		_, diags := NewThreshold(b.Type, attribute(b.Body, "default"), cases, s)
		report(&out, b.Type, diags)
	}
	return out.String()
}

// attribute is what HCL's decoder gives for an optional attribute.
func attribute(b *hclsyntax.Body, name string) hcl.Expression {
	if a := b.Attributes[name]; a != nil {
		return a.Expr
	}
	return hcl.StaticExpr(cty.NullVal(cty.DynamicPseudoType), b.MissingItemRange())
}

func goldenScope(t *testing.T, input string) *Scope {
	s := scope()
	slow, diags := NewThreshold("slow", parse(t, "2 * s"), nil, s)
	big, more := NewThreshold("big", parse(t, "20"), []Case{{parse(t, "weekday()"), parse(t, "0.5")}}, s)
	if len(diags)+len(more) > 0 {
		t.Fatal(diags, more)
	}
	s.Thresholds = map[string]*Threshold{"slow": slow, "big": big}
	s.Every = func(p signal.Path) time.Duration {
		if p.Key == "ready" {
			return 30 * time.Second
		}
		return 0
	}
	switch head, _, _ := strings.Cut(input, "\n"); head {
	case "# scope: host":
		s.Service = false
	case "# scope: unit":
		s.Service, s.Unit = false, true
	case "# use: precondition":
		s.Use = Precondition
	}
	return s
}

func inOrder(all hclsyntax.Attributes) []*hclsyntax.Attribute {
	var list []*hclsyntax.Attribute
	for _, a := range all {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b *hclsyntax.Attribute) int {
		return cmp.Compare(a.SrcRange.Start.Byte, b.SrcRange.Start.Byte)
	})
	return list
}

func report(out *bytes.Buffer, name string, diags hcl.Diagnostics) {
	if len(diags) == 0 {
		fmt.Fprintf(out, "%s: fine\n", name)
	}
	for _, d := range diags {
		kind := ""
		if d.Severity == hcl.DiagWarning {
			kind = "warning: "
		}
		fmt.Fprintf(out, "%s%s:%d:%d: %s: %s\n", kind, d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column,
			d.Summary, d.Detail)
	}
}
