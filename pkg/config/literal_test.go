package config

import (
	"strings"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"
)

func TestLiteralType(t *testing.T) {
	for src, want := range map[string]cty.Type{
		`"a"`:                cty.String,
		`""`:                 cty.String,
		`"a\"b"`:             cty.String,
		`"$${a} 100%% $ %"`:  cty.String,
		"<<E\na\nE\n":        cty.String,
		`12`:                 cty.Number,
		`-0.5e3`:             cty.Number,
		`true`:               cty.Bool,
		`"${a}"`:             cty.NilType,
		`"%{ for a in b }"`:  cty.NilType,
		`"$$${a}"`:           cty.NilType,
		"<<E\n${a}\nE\n":     cty.NilType,
		`"a" == "b"`:         cty.NilType,
		`["a"]`:              cty.NilType,
		`1e999999999`:        cty.NilType,
		`1 + 1`:              cty.NilType,
		`null`:               cty.NilType,
		`a`:                  cty.NilType,
		``:                   cty.NilType,
		`"`:                  cty.NilType,
		`[for x in [1] : x]`: cty.NilType,
	} {
		if got := literalType([]byte(src)); got != want {
			t.Errorf("%s: %#v, want %#v", src, got, want)
		}
	}
}

// TestHostileSources loads files that would exhaust a parser or evaluator that trusts them.
func TestHostileSources(t *testing.T) {
	half := maxFile / 2
	nested := strings.Repeat("[for x in [1,2,3,4,5,6,7,8,9] : ", 20) + "1" + strings.Repeat("]", 20)
	for name, src := range map[string]string{
		"brackets":           "host = " + strings.Repeat("(", half),
		"brackets on lines":  "host = " + strings.Repeat("(\n", half/2),
		"blocks":             strings.Repeat("a {\n", half/4),
		"objects":            "labels = " + strings.Repeat("{a=", half/3),
		"signs":              "host = " + strings.Repeat("!", half),
		"signs and comments": "host = " + strings.Repeat("-/**/", half/5),
		"conditionals":       "host = " + strings.Repeat("a?b:", half/4),
		"templates":          "host = " + strings.Repeat(`"${`, half/3),
		"sums":               "per_hour = 1" + strings.Repeat("+1", half/2),
		"long condition":     "rule \"x\" {\n  when = unit.failed" + strings.Repeat(" || unit.failed", half/15) + "\n}",
		"nested for":         "host = " + nested,
		"for in a list":      "allow {\n  units = [" + nested + "]\n}",
		"huge number":        "host = 1e999999999",
		"huge key":           "labels = { 1e999999999 = \"a\" }",
		"huge in a template": "host = \"${1e999999999}\"",
		"many keys":          strings.Repeat("a = 1\n", half/6),
		"many blocks":        strings.Repeat("service \"x\" {}\n", half/15),
		"traversal":          "rule \"x\" {\n  when = a" + strings.Repeat(".a", half/2) + "\n}",
		"heredoc":            "host = <<E\n" + strings.Repeat("${", half/2),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			if got := outcome(t, src+"\n"); !strings.Contains(got, ": error: ") {
				t.Error("no error")
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}
